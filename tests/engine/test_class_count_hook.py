"""Classes of datasets against those of the decode head."""
from types import SimpleNamespace

import pytest
from torch import nn

from s5_mm.engine import ClassCountHook
from s5_mm.registry import MODELS


class Model(nn.Module):
    """A cascade, whose last head counts."""

    def __init__(self, *counts):
        super().__init__()
        self.decode_head = nn.ModuleList([nn.Module() for _ in counts])
        for head, count in zip(self.decode_head, counts, strict=True):
            head.num_classes = count


def data(classes):
    return SimpleNamespace(metainfo=dict(classes=classes))


def runner(model, labeled='abc', validated='abc'):
    sources = dict(labeled=data(labeled), unlabeled=SimpleNamespace(metainfo={}))
    return SimpleNamespace(
        model=model, val_loop=None if validated is None else 'loop',
        train_dataloader=SimpleNamespace(dataset=SimpleNamespace(sources=sources)),
        val_dataloader=SimpleNamespace(dataset=data(validated)),
        test_dataloader=SimpleNamespace(dataset=data(validated)))


@pytest.mark.parametrize(('labeled', 'validated', 'message'), [
    ('abcd', 'abc', r'train_dataloader.dataset.sources.labeled has 4 classes \(a, b, c, d\), decode_head has 3; set '
                    r'model\.decode_head\.num_classes=4, or'),
    ('ab', None, r'train_dataloader.dataset.sources.labeled has 2 classes \(a, b\)'),
    ('abc', 'abcde', 'val_dataloader.dataset has 5 classes'),
])
def test_training_with_other_classes_is_an_error(tiny_segmentor, labeled, validated, message):
    with pytest.raises(ValueError, match=message):
        ClassCountHook().before_train(runner(MODELS.build(tiny_segmentor()), labeled, validated))


def test_the_head_inside_fixmatch_is_named():
    model = nn.Module()
    model.segmentor = Model(3)
    with pytest.raises(ValueError, match=r'set model\.segmentor\.decode_head\.num_classes=4, or give the dataset'):
        ClassCountHook().before_train(runner(model, labeled='abcd'))


def test_testing_with_other_classes_is_an_error(tiny_segmentor):
    with pytest.raises(ValueError, match='test_dataloader.dataset has 2 classes'):
        ClassCountHook().before_test(runner(MODELS.build(tiny_segmentor()), validated='ab'))


def test_other_classes_in_validation_are_an_error(tiny_segmentor):
    with pytest.raises(ValueError, match=r'The dataset is trained on the classes \(a, b, c\) and validated on '
                       r'\(a, c, b\); give both loaders the same metainfo, in the same order'):
        ClassCountHook().before_train(runner(MODELS.build(tiny_segmentor()), validated='acb'))


def test_the_last_head_of_a_cascade_counts():
    with pytest.raises(ValueError, match='decode_head has 3'):
        ClassCountHook().before_test(runner(Model(4, 3), validated='abcd'))
    assert ClassCountHook().before_test(runner(Model(4, 3))) is None


def test_what_has_no_classes_or_no_decode_head_is_passed_over(tiny_segmentor):
    assert ClassCountHook().before_train(runner(MODELS.build(tiny_segmentor()), labeled=None)) is None
    assert ClassCountHook().before_train(SimpleNamespace(model=nn.Linear(2, 2))) is None

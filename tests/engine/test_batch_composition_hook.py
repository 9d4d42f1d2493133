"""Batches that do not suit the model are an error before training."""
from types import SimpleNamespace

import pytest
from torch.utils.data import SequentialSampler

from s5_mm.datasets.samplers import MultiSourceSampler
from s5_mm.engine import BatchCompositionHook
from s5_mm.registry import MODELS


class Classes(list):
    """A dataset of eight samples that knows its classes."""

    def __init__(self, *classes):
        super().__init__(range(8))
        self.metainfo = dict(classes=classes)


def runner_of(model, per_batch, validated=None, **sources):
    dataset = SimpleNamespace(sources=dict.fromkeys(('red', 'green', 'blue'), range(8)) | sources)
    sampler = SequentialSampler(range(3)) if per_batch is None else MultiSourceSampler(dataset, per_batch, seed=0)
    return SimpleNamespace(
        model=model, train_dataloader=SimpleNamespace(sampler=sampler, dataset=dataset),
        val_loop=None if validated is None else 'loop',
        val_dataloader=SimpleNamespace(dataset=SimpleNamespace(sources=validated)))


@pytest.fixture
def model(multi_segmentor):
    return MODELS.build(multi_segmentor())


def test_batches_that_suit(model, monkeypatch):
    """The model is asked about just what the sampler will draw."""
    asked = []
    check = model.check_batch
    monkeypatch.setattr(model, 'check_batch', lambda numbers: asked.append(numbers) or check(numbers))
    BatchCompositionHook().before_train(runner_of(model, dict(red=2, green=3)))
    assert asked == [dict(red=2, green=3)]


def test_what_has_no_composition_is_not_compared(model, tiny_segmentor, monkeypatch):
    """Batches of another sampler, and a segmentor that knows no datasets."""
    checked = []
    monkeypatch.setattr(model, 'check_batch', checked.append)
    monkeypatch.setattr('s5_mm.engine.hooks.batch_composition_hook.check_classes', lambda *given: checked.append(given))
    BatchCompositionHook().before_train(runner_of(model, None))
    BatchCompositionHook().before_train(runner_of(MODELS.build(tiny_segmentor()), dict(blue=1)))
    assert checked == []


@pytest.mark.parametrize(('per_batch', 'message'), [
    (dict(red=2, green=1), "A batch holds 1 image of dataset 'green'.* raise MultiSourceSampler.per_batch"),
    (dict(red=2), r"Batches hold datasets \['red'\], the model has \['red', 'green'\]"),
    (dict(red=2, green=2, blue=2), r"Batches hold datasets \['red', 'green', 'blue'\], the model has"),
])
def test_batches_that_do_not(model, per_batch, message):
    with pytest.raises(ValueError, match=message):
        BatchCompositionHook().before_train(runner_of(model, per_batch))


def test_classes_of_what_is_drawn_are_compared(model):
    """``blue`` is not drawn, so its classes may be any, and those of the others fit; once drawn it is refused."""
    sources = dict(red=Classes('a', 'b', 'c'), green=Classes('a', 'b', 'c', 'd'), blue=Classes('a'))
    assert BatchCompositionHook().before_train(runner_of(model, dict(red=2, green=2), **sources)) is None
    with pytest.raises(ValueError, match=r"Batches hold datasets \['red', 'green', 'blue'\]"):
        BatchCompositionHook().before_train(runner_of(model, dict(red=2, green=2, blue=2), **sources))


@pytest.mark.parametrize('classes', ['abcde', 'abc'])
def test_classes_that_do_not(model, classes):
    message = (rf"train_dataloader: dataset 'green' has {len(classes)} classes \({', '.join(classes)}\), its head in "
               rf'the model has 4; set model\.datasets\.green\.num_classes={len(classes)}, or choose')
    with pytest.raises(ValueError, match=message):
        BatchCompositionHook().before_train(runner_of(model, dict(red=2, green=2), green=Classes(*classes)))


def with_rule(rule, root='data/red'):
    data = Classes('a', 'b', 'c')
    data.label_rule, data.data_root = rule, root
    return data


@pytest.mark.parametrize(('trained', 'validated', 'message'), [
    (Classes('a', 'b', 'c'), Classes('b', 'a', 'c'),
     r"dataset 'red' is trained on the classes \(a, b, c\) and validated on \(b, a, c\); give both"),
    (with_rule('mmseg'), with_rule('published'),
     "dataset 'red' is trained with label_rule='mmseg' and validated with 'published', both in data/red"),
])
def test_validation_with_other_classes_is_an_error(model, trained, validated, message):
    with pytest.raises(ValueError, match=message):
        BatchCompositionHook().before_train(runner_of(model, dict(red=2, green=2), dict(red=validated), red=trained))


def test_validation_that_suits(model):
    """Files in two places may follow two rules; a dataset of validation alone is not compared."""
    validated = dict(red=with_rule('published', 'elsewhere'), blue=Classes('z'))
    suits = runner_of(model, dict(red=2, green=2), validated, red=with_rule('mmseg'))
    assert BatchCompositionHook().before_train(suits) is None

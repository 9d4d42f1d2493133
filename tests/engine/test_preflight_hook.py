"""What the pre-flight hook compares before training and before testing."""
from types import SimpleNamespace

import pytest
from torch import nn
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from s5_mm.datasets import MultiSourceDataset, MultiSourceSampler
from s5_mm.engine import PreflightHook
from s5_mm.registry import MODELS


class Data(Dataset):
    """Eight samples of known classes; ``None``: the dataset states none."""

    def __init__(self, classes=None, **attributes):
        self.metainfo = {} if classes is None else dict(classes=tuple(classes))
        vars(self).update(attributes)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        raise AssertionError('no sample is needed here')


class Cascade(nn.Module):
    """A segmentor with several heads."""

    def __init__(self, *counts):
        super().__init__()
        self.decode_head = nn.ModuleList([nn.Module() for _ in counts])
        for head, count in zip(self.decode_head, counts, strict=True):
            head.num_classes = count


def runner_of(model, sources, per_batch=None, validated=None, batch_size=None, seed=7):
    """A runner with a sampler of seed 7; without ``per_batch`` another sampler."""
    dataset = MultiSourceDataset(sources)
    sampler = SequentialSampler(dataset) if per_batch is None else MultiSourceSampler(dataset, per_batch, seed=7)
    loader = DataLoader(dataset, sampler=sampler, batch_size=batch_size or getattr(sampler, 'batch_size', 2))
    validation = SimpleNamespace(dataset=validated)
    return SimpleNamespace(model=model, seed=seed, train_dataloader=loader, val_dataloader=validation,
                           test_dataloader=validation, val_loop=None if validated is None else 'loop',
                           train_loop='loop', iter=0, max_iters=10, param_schedulers=[])


def check_training(*args, **kwargs):
    PreflightHook().before_train(runner_of(*args, **kwargs))


def test_runs_before_hooks_that_take_long():
    assert PreflightHook.priority == 'HIGH'


class TestSampler:
    sources = dict(a=Data(), b=Data())

    def test_seed_of_another_run(self):
        with pytest.raises(ValueError, match=r'sampler draws with the seed 7, the run has 8; set default_hooks\.sampler'
                                             r"_seed=dict\(type='s5_mm.SamplerSeedHook'\)"):
            check_training(nn.Linear(2, 2), self.sources, dict(a=2, b=1), seed=8)

    def test_batch_size(self):
        with pytest.raises(ValueError, match=r"batch_size is 4, but its sampler puts 3 samples into a batch, "
                           r"\{'a': 2, 'b': 1\}; set batch_size to their sum"):
            check_training(nn.Linear(2, 2), self.sources, dict(a=2, b=1), batch_size=4)

    def test_that_suits(self):
        assert check_training(nn.Linear(2, 2), self.sources, dict(a=2, b=1)) is None

    def test_other_samplers_have_neither(self):
        assert check_training(nn.Linear(2, 2), self.sources, batch_size=5, seed=8) is None


@pytest.fixture
def multi(multi_segmentor):
    """A model of ``red`` (3 classes) and ``green`` (4)."""
    return MODELS.build(multi_segmentor())


def three(**sources):
    return dict.fromkeys(('red', 'green', 'blue'), Data()) | sources


class TestSeveralDatasets:

    def test_the_model_is_asked_about_what_is_drawn(self, multi, monkeypatch):
        asked = []
        check = multi.check_batch
        monkeypatch.setattr(multi, 'check_batch', lambda numbers: asked.append(numbers) or check(numbers))
        check_training(multi, three(), dict(red=2, green=3))
        check_training(multi, three())
        assert asked == [dict(red=2, green=3)]

    @pytest.mark.parametrize(('per_batch', 'message'), [
        (dict(red=2, green=1), "A batch holds 1 image of dataset 'green'.* raise MultiSourceSampler.per_batch"),
        (dict(red=2), r"Batches hold datasets \['red'\], the model has \['red', 'green'\]"),
        (dict(red=2, green=2, blue=2), r"Batches hold datasets \['red', 'green', 'blue'\], the model has"),
    ])
    def test_batches_that_do_not_suit(self, multi, per_batch, message):
        with pytest.raises(ValueError, match=message):
            check_training(multi, three(), per_batch)

    def test_classes_that_suit(self, multi):
        """``blue`` is not drawn, so its classes may be any."""
        sources = three(red=Data('abc'), green=Data('abcd'), blue=Data('a'))
        assert check_training(multi, sources, dict(red=2, green=2)) is None

    @pytest.mark.parametrize('classes', ['abcde', 'abc'])
    def test_classes_that_do_not(self, multi, classes):
        message = (rf"train_dataloader: dataset 'green' has {len(classes)} classes \({', '.join(classes)}\), its head "
                   rf'in the model has 4; set model\.datasets\.green\.num_classes={len(classes)}, or choose')
        with pytest.raises(ValueError, match=message):
            check_training(multi, three(green=Data(classes)), dict(red=2, green=2))

    @pytest.mark.parametrize(('trained', 'validated', 'message'), [
        (Data('abc'), Data('bac'),
         r"Dataset 'red' is trained on the classes \(a, b, c\) and validated on \(b, a, c\); give both"),
        (Data('abc', label_rule='mmseg', data_root='data/red'), Data('abc', label_rule='published',
                                                                     data_root='data/red'),
         "Dataset 'red' is trained with label_rule='mmseg' and validated with 'published', both in data/red"),
    ])
    def test_validation_with_other_classes(self, multi, trained, validated, message):
        with pytest.raises(ValueError, match=message):
            check_training(multi, three(red=trained), dict(red=2, green=2), MultiSourceDataset(dict(red=validated)))

    def test_validation_that_suits(self, multi):
        """Files in two folders may follow two rules; a dataset of validation alone is not compared."""
        trained = Data('abc', label_rule='mmseg', data_root='data/red')
        validated = dict(red=Data('abc', label_rule='published', data_root='elsewhere'), blue=Data('z'))
        assert check_training(multi, three(red=trained), dict(red=2, green=2), MultiSourceDataset(validated)) is None


class TestOneHead:

    @pytest.mark.parametrize(('labeled', 'validated', 'message'), [
        ('abcd', Data('abc'), r"train_dataloader: dataset 'labeled' has 4 classes \(a, b, c, d\), its head in the "
                              r'model has 3; set model\.decode_head\.num_classes=4, or'),
        ('ab', None, r"train_dataloader: dataset 'labeled' has 2 classes \(a, b\)"),
        ('abc', Data('abcde'), r'val_dataloader\.dataset has 5 classes'),
        ('abc', Data('acb'), r"Dataset 'labeled' is trained on the classes \(a, b, c\) and validated on \(a, c, b\); "
                             'give both loaders the same metainfo, in the same order'),
        ('abc', MultiSourceDataset(dict(near=Data('abc'), far=Data('acb'))), r'validated on \(a, c, b\)'),
    ])
    @pytest.mark.parametrize('per_batch', [dict(labeled=2, unlabeled=2), None])
    def test_training_with_other_classes(self, tiny_segmentor, labeled, validated, message, per_batch):
        sources = dict(labeled=Data(labeled), unlabeled=Data())
        with pytest.raises(ValueError, match=message):
            check_training(MODELS.build(tiny_segmentor()), sources, per_batch, validated)

    def test_the_head_inside_fixmatch_is_named(self, tiny_segmentor):
        model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor()))
        with pytest.raises(ValueError, match=r'set model\.segmentor\.decode_head\.num_classes=4, or choose the'):
            check_training(nn.DataParallel(model), dict(labeled=Data('abcd')), dict(labeled=2))

    def test_testing_with_other_classes(self, tiny_segmentor):
        runner = runner_of(MODELS.build(tiny_segmentor()), dict(a=Data()), validated=Data('ab'))
        with pytest.raises(ValueError, match=r'test_dataloader\.dataset has 2 classes \(a, b\)'):
            PreflightHook().before_test(runner)

    def test_the_last_head_of_a_cascade_counts(self):
        with pytest.raises(ValueError, match='its head in the model has 3'):
            PreflightHook().before_test(runner_of(Cascade(4, 3), dict(a=Data()), validated=Data('abcd')))
        assert PreflightHook().before_test(runner_of(Cascade(4, 3), dict(a=Data()), validated=Data('abc'))) is None

    def test_data_without_classes_and_models_without_heads_are_skipped(self, tiny_segmentor):
        assert check_training(MODELS.build(tiny_segmentor()), dict(a=Data()), validated=Data('abc')) is None
        assert check_training(nn.Linear(2, 2), dict(a=Data('abc')), validated=Data('ab')) is None

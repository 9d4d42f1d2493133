"""Drawing from several sources: order, balance, resumption, randomness."""
import itertools
import random
from collections import Counter

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader, Dataset

from s5_mm.datasets import MultiSourceDataset, MultiSourceSampler
from s5_mm.datasets.multi_source import Draw
from s5_mm.datasets.samplers import SourceSubset, Stretch, multi_source_sampler
from s5_mm.registry import DATASETS


@DATASETS.register_module(force=True)
class CountingSource(Dataset):
    """Samples that tell their index and random numbers of all three kinds."""

    def __init__(self, length, classes=None):
        self.length = length
        self.metainfo = dict(classes=classes)
        self.initialized = 0

    def full_init(self):
        self.initialized += 1

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        numbers = [random.random(), np.random.rand(), torch.rand(()).item()]
        return dict(inputs=torch.tensor([index, *numbers], dtype=torch.float64), data_samples=SegDataSample())


@pytest.fixture
def dataset():
    return MultiSourceDataset(dict(labeled=CountingSource(5), unlabeled=CountingSource(11), partner=CountingSource(11)))


PER_BATCH = dict(labeled=2, unlabeled=3)


def sampler(dataset, monkeypatch=None, rank=0, world_size=1, **options):
    if monkeypatch is not None:
        monkeypatch.setattr(multi_source_sampler, 'get_dist_info', lambda: (rank, world_size))
    return MultiSourceSampler(dataset, **{'per_batch': PER_BATCH, 'seed': 7, **options})


def take(draws, number):
    return list(itertools.islice(draws, number))


class TestSampler:

    def test_batches_hold_the_numbers_in_order(self, dataset):
        drawn = take(sampler(dataset), 50)
        assert [draw.source for draw in drawn] == (['labeled'] * 2 + ['unlabeled'] * 3) * 10
        assert sampler(dataset).batch_size == 5
        assert len(sampler(dataset)) == 27

    def test_a_number_stands_for_every_source(self, dataset):
        equal = sampler(dataset, per_batch=2)
        assert (equal.per_batch, equal.batch_size) == (dict(labeled=2, unlabeled=2, partner=2), 6)
        assert [draw.source for draw in take(equal, 6)] == ['labeled'] * 2 + ['unlabeled'] * 2 + ['partner'] * 2
        with pytest.raises(ValueError, match=r"per_batch\['labeled'\] is 0, it must be an integer of at least 1"):
            sampler(dataset, per_batch=0)

    def test_every_index_once_an_epoch_over_two_ranks(self, dataset, monkeypatch):
        """The ranks' draws of a step, put side by side, go through each source in epochs of its length."""
        streams = [take(sampler(dataset, monkeypatch, rank, 2), 5 * 110) for rank in range(2)]
        for name, number in PER_BATCH.items():
            parts = [[draw for draw in stream if draw.source == name] for stream in streams]
            joint = []
            for start in range(0, len(parts[0]), number):
                joint += parts[0][start:start + number] + parts[1][start:start + number]
            length = len(dataset.sources[name])
            epochs = [[draw.index for draw in joint[start:start + length]]
                      for start in range(0, len(joint) - length + 1, length)]
            assert len(epochs) >= 40
            assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
            assert len({tuple(epoch) for epoch in epochs}) > len(epochs) // 2
            assert len({draw.seed for draw in joint}) == len(joint)

    def test_two_ranks_draw_what_one_would(self, dataset, monkeypatch):
        ranks = [take(sampler(dataset, monkeypatch, rank, 2, per_batch=dict(unlabeled=1)), 20) for rank in range(2)]
        alone = take(sampler(dataset, monkeypatch, per_batch=dict(unlabeled=2)), 40)
        assert [draw for pair in zip(*ranks, strict=True) for draw in pair] == alone

    @pytest.mark.parametrize('steps', [0, 1, 3, 17])
    def test_skip_equals_the_straight_stream(self, dataset, monkeypatch, steps):
        straight = take(sampler(dataset, monkeypatch, 1, 2), 5 * 40)
        resumed = sampler(dataset, monkeypatch, 1, 2)
        resumed.skip(5 * steps)
        assert take(resumed, 5 * (40 - steps)) == straight[5 * steps:]

    def test_resumed_with_other_processes_and_batches_it_goes_on_with_the_next_draw(self, dataset, monkeypatch):
        """Three runs: 7 steps of one process, then up to step 12 two with other batches, then two with the first's."""
        def stretch(history, steps, world_size, per_batch):
            ranks = [sampler(dataset, monkeypatch, rank, world_size, per_batch=per_batch) for rank in range(world_size)]
            for drawing in ranks:
                changed = drawing.resume(history, steps.start) if history else True
                drawing.skip(steps.start * drawing.batch_size)
            assert changed
            batches = [take(drawing, len(steps) * drawing.batch_size) for drawing in ranks]
            return [draw for draws in batches for draw in draws], ranks[0].history

        first, history = stretch(None, range(7), 1, dict(labeled=2, unlabeled=3))
        second, history = stretch(history, range(7, 12), 2, dict(labeled=1, unlabeled=4))
        third, history = stretch(history, range(12, 14), 2, dict(labeled=2, unlabeled=3))
        assert [start for start, _ in history] == [0, 7, 12]
        together, straight = [*first, *second, *third], sampler(dataset, monkeypatch, per_batch=dict(labeled=1,
                                                                                                    unlabeled=1))
        for name, number in dict(labeled=14 + 10 + 8, unlabeled=21 + 40 + 12).items():
            drawn = [draw for draw in together if draw.source == name]
            order = [draw for draw in take(straight, 2 * number) if draw.source == name]
            assert sorted(drawn) == sorted(order)

    def test_resumed_with_the_same_numbers_nothing_changes(self, dataset):
        one = sampler(dataset)
        assert not one.resume([Stretch(0, dict(labeled=2, unlabeled=3))], 4)
        assert one.history == sampler(dataset).history

    def test_resumed_with_other_sources(self, dataset):
        with pytest.raises(ValueError, match=r"drew from \['labeled'\], per_batch names \['labeled', 'unlabeled'\]"):
            sampler(dataset).resume([Stretch(0, dict(labeled=2))], 3)

    def test_far_position_is_reached_at_once(self, dataset):
        resumed = sampler(dataset)
        resumed.skip(5 * 10**12)
        assert len(take(resumed, 5)) == 5

    def test_iterating_again_starts_at_the_set_position(self, dataset):
        one = sampler(dataset)
        one.skip(10)
        assert take(one, 20) == take(one, 20) != take(sampler(dataset), 20)

    def test_seeds(self, dataset):
        assert take(sampler(dataset), 60) == take(sampler(dataset), 60)
        assert take(sampler(dataset), 60) != take(sampler(dataset, seed=8), 60)
        changed = sampler(dataset, seed=8)
        changed.seed = 7
        assert take(changed, 60) == take(sampler(dataset), 60)

    def test_sources_are_shuffled_independently(self):
        twins = MultiSourceDataset(dict(a=CountingSource(50), b=CountingSource(50)))
        drawn = take(sampler(twins, per_batch=dict(a=1, b=1)), 100)
        assert [draw.index for draw in drawn[::2]] != [draw.index for draw in drawn[1::2]]

    def test_without_shuffling(self, dataset):
        drawn = take(sampler(dataset, per_batch=dict(labeled=2), shuffle=False), 12)
        assert [draw.index for draw in drawn] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]

    @pytest.mark.parametrize(('options', 'message'), [
        (dict(per_batch=dict(pool=2)), r"\['pool'\] named, the dataset has \['labeled', .* name those in per_batch"),
        (dict(per_batch={}), 'no source named'),
        (dict(per_batch=dict(labeled=0)), r"per_batch\['labeled'\] is 0, it must be an integer of at least 1"),
        (dict(per_batch=dict(labeled=1.5)), 'is 1.5, it must be an integer'),
    ])
    def test_options(self, dataset, options, message):
        with pytest.raises(ValueError, match=message):
            sampler(dataset, **options)

    @pytest.mark.parametrize('number', [-5, 7])
    def test_skip_of_no_whole_batches(self, dataset, number):
        with pytest.raises(ValueError, match=f'cannot skip {number} samples, a batch has 5'):
            sampler(dataset).skip(number)


class TestDataset:

    def test_sample_depends_on_the_draw_alone(self, dataset):
        first = dataset[Draw('unlabeled', 3, 17)]['inputs']
        torch.rand(5)
        np.random.rand(3)
        assert torch.equal(dataset[Draw('unlabeled', 3, 17)]['inputs'], first)
        other = dataset[Draw('unlabeled', 3, 18)]['inputs']
        assert other[0] == 3
        assert not (other[1:] == first[1:]).any()

    def test_random_state_outside_is_left_alone(self, dataset):
        def numbers():
            return random.random(), np.random.rand(), torch.rand(()).item()
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        expected = [numbers(), numbers()]
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        seen = [numbers()]
        dataset[Draw('labeled', 0, 5)]
        assert [*seen, numbers()] == expected

    def test_samples_name_their_source(self, dataset):
        assert dataset[Draw('labeled', 0, 1)]['data_samples'].dataset_name == 'labeled'
        assert dataset[Draw('partner', 0, 1)]['data_samples'].metainfo['dataset_name'] == 'partner'

    def test_an_integer_counts_through_the_sources(self, dataset):
        """5 labeled, 11 unlabeled, 11 partner."""
        found = [(dataset[i]['data_samples'].dataset_name, dataset[i]['inputs'][0].item())
                 for i in (0, 4, 5, 15, 16, 26, -1, -27)]
        assert found == [('labeled', 0), ('labeled', 4), ('unlabeled', 0), ('unlabeled', 10), ('partner', 0),
                         ('partner', 10), ('partner', 10), ('labeled', 0)]
        assert len(list(dataset)) == 27

    def test_an_integer_leaves_augmentation_to_the_global_generators(self, dataset):
        assert not (dataset[3]['inputs'][1:] == dataset[3]['inputs'][1:]).any()

    @pytest.mark.parametrize('index', [27, -28])
    def test_an_integer_out_of_range(self, dataset, index):
        with pytest.raises(IndexError, match=f'index {index} is out of range; the sources hold 27 samples'):
            dataset[index]

    def test_length_and_initialization(self, dataset):
        dataset.full_init()
        assert len(dataset) == 27
        assert [source.initialized for source in dataset.sources.values()] == [1, 1, 1]

    def test_meta_information_is_of_the_source_with_classes(self):
        sources = dict(unlabeled=CountingSource(1), labeled=CountingSource(1, classes=('a', 'b')))
        assert MultiSourceDataset(sources).metainfo == dict(classes=('a', 'b'))
        assert MultiSourceDataset(dict(unlabeled=CountingSource(1))).metainfo == {}

    def test_sources_from_configs(self):
        built = DATASETS.build(dict(
            type='s5_mm.MultiSourceDataset', sources=dict(a=dict(type='s5_mm.CountingSource', length=2))))
        assert len(built) == 2

    def test_no_source(self):
        with pytest.raises(ValueError, match='sources is empty; name at least one'):
            MultiSourceDataset({})

    def test_empty_source(self):
        with pytest.raises(ValueError, match=r"source 'pool' \(CountingSource\) has no samples"):
            MultiSourceDataset(dict(labeled=CountingSource(1), pool=CountingSource(0)))


@pytest.mark.parametrize('workers', [0, 2])
def test_loader_resumes_with_equal_batches(dataset, workers):
    """Samples, order and augmentation, with any number of workers."""
    def batches(start, number):
        drawing = sampler(dataset)
        drawing.skip(start * 5)
        loader = DataLoader(dataset, batch_size=5, sampler=drawing, num_workers=workers,
                            collate_fn=lambda samples: torch.stack([sample['inputs'] for sample in samples]))
        return take(iter(loader), number)
    straight, resumed = batches(0, 6), batches(4, 2)
    assert all(torch.equal(a, b) for a, b in zip(straight[4:], resumed, strict=True))
    assert len(Counter(value for batch in straight for value in batch[:, 1].tolist())) == 30
    alone = [dataset[draw]['inputs'] for draw in take(sampler(dataset), 5)]
    assert torch.equal(straight[0], torch.stack(alone))


def test_a_source_that_is_none_is_named():
    with pytest.raises(ValueError, match="source 'unlabeled' is None; give a dataset, or drop it"):
        MultiSourceDataset(dict(labeled=CountingSource(5), unlabeled=None))


class TestRestrictedSource:

    def test_draws_come_from_the_selection_alone_once_an_epoch(self, dataset):
        drawing = sampler(dataset)
        drawing.restrict('unlabeled', SourceSubset(np.array([1, 4, 7, 8]), first_step=0))
        draws = take(drawing, 5 * 4)
        indices = [draw.index for draw in draws if draw.source == 'unlabeled']
        number = drawing.per_batch['unlabeled']
        assert set(indices) == {1, 4, 7, 8}
        assert all(sorted(indices[i:i + 4]) == [1, 4, 7, 8] for i in range(0, 4 * number - 3, 4))

    def test_other_sources_and_seeds_stay_the_same(self, dataset):
        free, restricted = sampler(dataset), sampler(dataset)
        restricted.restrict('unlabeled', SourceSubset(np.arange(4), first_step=0))
        pairs = list(zip(take(free, 30), take(restricted, 30), strict=True))
        assert all(a == b for a, b in pairs if a.source == 'labeled')
        assert all(a.seed == b.seed for a, b in pairs)

    def test_first_epoch_begins_where_the_selection_does(self, dataset):
        drawing = sampler(dataset)
        drawing.restrict('unlabeled', SourceSubset(np.array([0, 2, 3, 5, 6]), first_step=7))
        drawing.skip(7 * 5)
        indices = [draw.index for draw in take(drawing, 25) if draw.source == 'unlabeled'][:5]
        assert sorted(indices) == [0, 2, 3, 5, 6]

    def test_position_can_be_set(self, dataset):
        def draws(step, number):
            drawing = sampler(dataset)
            drawing.restrict('unlabeled', SourceSubset(np.array([9, 1, 5]), first_step=2))
            drawing.skip(step * 5)
            return take(drawing, number)
        assert draws(2, 30)[15:] == draws(5, 15)

    @pytest.mark.parametrize('indices', [[], [0, 0], [-1], [11]])
    def test_impossible_selections(self, dataset, indices):
        with pytest.raises(ValueError, match="a selection from 'unlabeled' .* each once and from 0 to 10; it has"):
            sampler(dataset).restrict('unlabeled', SourceSubset(np.array(indices, dtype=int), 0))

    def test_unknown_source(self, dataset):
        with pytest.raises(ValueError, match=r"cannot restrict 'pool', the dataset has \['labeled'"):
            sampler(dataset).restrict('pool', SourceSubset(np.arange(1), 0))

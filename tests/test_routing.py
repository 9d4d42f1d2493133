"""Which samples of a batch belong to which dataset."""
import pytest
import torch

from s5_mm.routing import Route


def samples(make_sample, names):
    return [make_sample(name, None) for name in names]


def test_grouped_batch_is_split_into_views(make_sample):
    route = Route.from_samples(samples(make_sample, 'aab'))
    assert route == Route(('a', 'b'), (2, 1), None)
    batch = torch.arange(6).reshape(3, 2)
    parts = route.split(batch)
    assert parts['a'].tolist() == [[0, 1], [2, 3]]
    assert parts['b'].tolist() == [[4, 5]]
    assert parts['b'].data_ptr() == batch[2:].data_ptr()


def test_mixed_batch_keeps_the_order_within_each_group(make_sample):
    route = Route.from_samples(samples(make_sample, 'bacab'))
    assert route == Route(('b', 'a', 'c'), (2, 2, 1), (0, 4, 1, 3, 2))
    assert {name: part.tolist() for name, part in route.split(torch.arange(5)).items()} == {
        'b': [0, 4], 'a': [1, 3], 'c': [2]}
    assert route.split(list('01234')) == {'b': ['0', '4'], 'a': ['1', '3'], 'c': ['2']}


def test_tensor_and_list_are_split_alike(make_sample):
    batch = samples(make_sample, 'xyx')
    route = Route.from_samples(batch)
    assert route.split(batch) == {'x': [batch[0], batch[2]], 'y': [batch[1]]}


def test_grouping_and_back(make_sample):
    batch = torch.arange(5)
    route = Route.from_samples(samples(make_sample, 'bacab'))
    assert route.group(batch).tolist() == [0, 4, 1, 3, 2]
    assert route.group(list('01234')) == list('04132')
    assert torch.equal(route.ungroup(route.group(batch)), batch)
    assert route.grouped() == Route(route.names, route.sizes, None)
    assert route.grouped().group(batch) is batch
    assert route.grouped().ungroup(batch) is batch


def test_unmarked_sample_is_an_error(make_sample):
    with pytest.raises(ValueError, match='no dataset_name in its metainfo; let s5_mm.MultiSourceDataset draw it'):
        Route.from_samples(samples(make_sample, ['a', None]))


def test_wrong_batch_size_is_an_error(make_sample):
    route = Route.from_samples(samples(make_sample, 'aab'))
    with pytest.raises(RuntimeError):
        route.split(torch.zeros(4))

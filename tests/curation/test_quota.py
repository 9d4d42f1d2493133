"""Quotas (Eq. 3 of arXiv 2508.12409) by hand."""
import numpy as np
import pytest

from s5_mm.curation import fill, quotas


@pytest.mark.parametrize(('counts', 'budget', 'expected'), [
    ([1, 1, 2], 8, [2, 2, 4]),
    ([1, 1, 1], 10, [4, 3, 3]),  # equal remainders: the lower cluster first
    ([3, 2, 2], 10, [4, 3, 3]),  # 4.29, 2.86, 2.86
    ([5, 0, 5], 3, [2, 0, 1]),
    ([7], 0, [0])])
def test_largest_remainder(counts, budget, expected):
    result = quotas(np.array(counts), budget)
    assert result.tolist() == expected
    assert result.dtype == np.int64


def test_sums_to_exactly_the_budget():
    generator = np.random.default_rng(0)
    for budget in (1, 999_983, 10**6, 10**12):
        counts = generator.integers(0, 10**9, 37)
        result = quotas(counts, budget)
        assert result.sum() == budget
        assert (np.abs(result - budget * (counts / counts.sum())) < 1 + 1e-3).all()


def test_a_cluster_that_cannot_fill_its_quota_leaves_it():
    assert fill([1, 1, 2], [1, 9, 9], 8).tolist() == [1, 2, 4]


def test_or_passes_it_on_by_the_same_rule_until_all_is_given():
    # Quotas 3, 3, 6. Cluster 0 has 0 of 3, the rest goes 1:2 to the others.
    assert fill([1, 1, 2], [0, 9, 9], 12, 'redistribute').tolist() == [0, 4, 8]
    # Cluster 2 is full after one more, and cluster 1 gets what then is left.
    assert fill([1, 1, 2], [0, 9, 7], 12, 'redistribute').tolist() == [0, 5, 7]
    # A cluster without labeled samples gets nothing.
    assert fill([1, 0], [2, 9], 6, 'redistribute').tolist() == [2, 0]


@pytest.mark.parametrize(('arguments', 'message'), [
    (([0, 0], [1, 1], 1), 'the 2 clusters have no labeled sample'),
    (([1, -1], [1, 1], 1), r'counts are \[1, -1\]; neither may be negative'),
    (([1, 1], [1], 1), 'counts has 2 clusters, available 1'),
    (([1, 1], [1, 1], 1, 'drop'), r"on_shortfall is 'drop'; choose from \['skip', 'redistribute'\]")])
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        fill(*arguments)

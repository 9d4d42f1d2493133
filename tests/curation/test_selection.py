"""Selection: hand-made tables, and the query against a plain sort."""
import numpy as np
import pyarrow as pa
import pytest

from s5_mm.curation import quotas, select


def table(paths, entropy, cluster, **more):
    return pa.table(dict(path=paths, entropy=pa.array(entropy, pa.float32()), cluster=pa.array(cluster, pa.int32()),
                         **more))


@pytest.fixture
def small():
    return table(list('abcdefg'), [.5, .1, .9, .2, .2, .2, .05], [0, 0, 0, 1, 1, 1, 1], index=range(7))


@pytest.fixture(scope='module')
def pool():
    generator = np.random.default_rng(0)
    size = 5000
    # Rounded, so that many entropies are equal and ties decide.
    return table([f'{i % 7}/{i:05d}.png' for i in generator.permutation(size)],
                 generator.exponential(0.4, size).round(2), generator.integers(0, 5, size))


def paths(selection):
    return selection.table['path'].to_pylist()


def test_lowest_entropy_in_each_cluster_ties_by_path(small):
    selection = select(small, 4, np.array([1, 1]))
    assert paths(selection) == ['a', 'b', 'd', 'g']
    assert selection.table['index'].to_pylist() == [0, 1, 3, 6]
    assert selection.table.schema == small.schema
    assert (selection.quotas.tolist(), selection.available.tolist(), selection.taken.tolist()) == (
        [2, 2], [3, 4], [2, 2])


def test_an_unfilled_quota_is_left_or_passed_on(small):
    assert paths(select(small, 6, np.array([5, 1]))) == ['a', 'b', 'c', 'g']
    passed_on = select(small, 6, np.array([5, 1]), on_shortfall='redistribute')
    assert paths(passed_on) == ['a', 'b', 'c', 'd', 'e', 'g']
    assert (passed_on.quotas.tolist(), passed_on.taken.tolist()) == ([5, 1], [3, 3])


def test_entropy_alone_ignores_clusters(small):
    assert paths(select(small, 3, strategy='entropy')) == ['b', 'd', 'g']
    assert select(small.drop(['cluster']), 1, strategy='entropy').table['path'].to_pylist() == ['g']


def expected(pool, budget, counts):
    """The same by sorting everything in Python."""
    rows = sorted(zip(pool['entropy'].to_pylist(), pool['path'].to_pylist(), pool['cluster'].to_pylist(), strict=True))
    limits = quotas(counts, budget)
    return sorted(path for m, limit in enumerate(limits) for path in [p for _, p, c in rows if c == m][:limit])


@pytest.mark.parametrize('budget', [1, 7, 333, 2500])
def test_the_query_agrees_with_a_sort(pool, budget):
    counts = np.array([3, 1, 4, 0, 2])
    assert paths(select(pool, budget, counts)) == expected(pool, budget, counts)


def test_the_order_of_the_rows_does_not_matter(pool):
    shuffled = pool.take(np.random.default_rng(1).permutation(len(pool)))
    for strategy in ('curated', 'random', 'entropy', 'diversity'):
        first, second = (select(rows, 400, np.ones(5), strategy, seed=3).table for rows in (pool, shuffled))
        assert first.equals(second)


def test_random_depends_on_the_seed_and_is_fair(pool):
    first, second = (set(paths(select(pool, 1000, strategy='random', seed=seed))) for seed in (0, 1))
    # 1000 of 5000: 200 in common are expected, with a standard deviation of 11.
    assert 140 < len(first & second) < 260
    chosen = select(pool, 1000, strategy='random').table
    assert chosen['entropy'].to_numpy().mean() == pytest.approx(pool['entropy'].to_numpy().mean(), abs=0.06)


def test_random_choice_is_pinned():
    # The last bytes of the MD5 of '0:a' ... '0:d', highest first: 31c7.., deef.., bd55.., 512f..: a, d, c, b.
    four = table(list('abcd'), [0] * 4, [0] * 4)
    assert paths(select(four, 2, strategy='random')) == ['a', 'd']


def test_diversity_fills_quotas_at_random(pool):
    selection = select(pool, 1000, np.array([1, 1, 1, 1, 6]), 'diversity')
    assert np.bincount(selection.table['cluster'].to_numpy()).tolist() == [100, 100, 100, 100, 600]
    assert selection.table['entropy'].to_numpy().mean() == pytest.approx(pool['entropy'].to_numpy().mean(), abs=0.06)


@pytest.mark.parametrize(('change', 'options', 'message'), [
    ({}, dict(strategy='best'), r"strategy is 'best'; choose from \['curated', 'random', 'entropy', 'diversity'\]"),
    ({}, dict(counts=None), "strategy 'curated' has quotas and needs the labeled samples"),
    ({}, dict(budget=8), r'budget is 8; it must be 1\.\.7'),
    ({}, dict(budget=0), r'budget is 0; it must be 1\.\.7'),
    ({}, dict(counts=np.ones(1)), r'cluster 1, the prototypes are 0\.\.0'),
    (dict(entropy=[.1, .2, .3, .4, .5, .6, np.nan]), {}, 'negative or no number'),
    (dict(entropy=[.1, .2, .3, .4, .5, .6, -1]), {}, 'negative or no number'),
    (dict(cluster=None), {}, "no column 'cluster', strategy 'curated' needs")])
def test_errors(small, change, options, message):
    for name, values in change.items():
        small = small.drop([name])
        if values is not None:
            small = small.append_column(name, pa.array(values))
    with pytest.raises(ValueError, match=message):
        select(small, **dict(dict(budget=3, counts=np.ones(2)), **options))

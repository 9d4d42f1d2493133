"""Choosing from a pool with given scores."""
import numpy as np
import pyarrow.parquet as pq
import pytest

from s5_mm.curation import Prototypes, pool_filter
from s5_mm.curation.loading import Failure
from s5_mm.curation.pool_filter import PoolFilter
from s5_mm.curation.scoring import Scores
from s5_mm.datasets import UnlabeledDataset

ENTROPY = np.array([0.5, 0.1, 0.4, 0.2, 0.3, 0.6], np.float32)
CLUSTER = np.array([0, 0, 0, 1, 1, 1])


@pytest.fixture
def sources(tmp_path):
    """A pool of six images, a.jpg ... f.jpg."""
    for name in 'abcdef':
        (tmp_path / f'{name}.jpg').touch()
    return dict(unlabeled=UnlabeledDataset(str(tmp_path)))


@pytest.fixture
def scored(monkeypatch):
    """Indices that were asked for. The third image cannot be read; of four labeled images three are in cluster 1."""
    asked = []

    def score_dataset(model, pool, indices, options, prototypes):
        asked.append(indices.tolist())
        read = indices[indices != 2]
        return Scores(read, ENTROPY[read], CLUSTER[read], ENTROPY[read] / 2, np.ones((len(read), 2)),
                      np.zeros((len(read), 0)), [Failure(2, 'truncated')] * (2 in indices))

    monkeypatch.setattr(pool_filter, 'score_dataset', score_dataset)
    monkeypatch.setattr(pool_filter, 'labeled_prototypes', lambda *args: Prototypes(np.eye(2), np.array([1, 3])))
    return asked


def test_lowest_entropy_of_the_pool(sources, scored, tmp_path):
    kept = PoolFilter(3, strategy='entropy').select(None, sources, 0, 5)
    assert scored == [[0, 1, 2, 3, 4, 5]]
    assert kept.indices.tolist() == [1, 3, 4]
    kept.write(tmp_path / 'curation/iter_0.parquet')
    rows = pq.read_table(tmp_path / 'curation/iter_0.parquet').to_pydict()
    assert rows['path'] == ['b.jpg', 'd.jpg', 'e.jpg']
    assert rows['entropy'] == pytest.approx([0.1, 0.2, 0.3])
    assert rows['similarity'] == pytest.approx([0.05, 0.1, 0.15])
    assert rows['cluster'] == [0, 1, 1]


def test_quotas_follow_the_labeled_images(sources, scored):
    """One of cluster 0 and three of cluster 1."""
    kept = PoolFilter(4).select(None, dict(sources, labeled=None), 0, 5)
    assert kept.indices.tolist() == [1, 3, 4, 5]


def test_summary_counts_what_is_new(sources, scored):
    kept = PoolFilter(0.5, strategy='entropy').select(None, sources, 0, 5)
    text = '3 of 6 images kept, {} of them new; mean entropy 0.2000, of all scored 0.3400; 1 unreadable'
    assert kept.summary() == text.format(3)
    assert kept.summary(np.array([0, 3, 4])) == text.format(1)


def test_each_step_scores_another_share(sources, scored):
    for step, seed in ((0, 5), (0, 5), (1, 5), (0, 6)):
        PoolFilter(1, share=0.5, strategy='random').select(None, sources, step, seed)
    assert scored[0] == scored[1]
    assert len({tuple(indices) for indices in scored}) == 3
    assert all(len(indices) == 3 and indices == sorted(indices) for indices in scored)


def test_a_pool_that_cannot_be_read(sources, scored, monkeypatch):
    monkeypatch.setattr(pool_filter, 'score_dataset', lambda *args: Scores(
        *[np.zeros(0)] * 6, failures=[Failure(0, 'truncated')]))
    with pytest.raises(RuntimeError, match="none of the images of 'unlabeled' could be scored; the first: truncated"):
        PoolFilter(1, strategy='entropy').select(None, sources, 0, 5)


def test_no_labeled_cluster_has_images(sources, scored, monkeypatch):
    monkeypatch.setattr(pool_filter, 'labeled_prototypes', lambda *args: Prototypes(np.eye(3), np.array([0, 0, 1])))
    with pytest.raises(RuntimeError, match="the selection is empty, .* fewer clusters or on_shortfall='redistribute'"):
        PoolFilter(1).select(None, dict(sources, labeled=None), 0, 5)

"""Features, prototypes and the assignment to them."""
import numpy as np
import pytest
import torch

from s5_mm.curation import (
    Prototypes,
    assign,
    fit_prototypes,
    image_features,
    load_prototypes,
    propose_num_clusters,
    save_prototypes,
)
from s5_mm.curation import prototypes as module


@pytest.fixture
def clouds():
    """40, 20 and 10 features around three directions, of varied length."""
    generator = np.random.default_rng(0)
    directions = np.eye(3, 8).repeat([40, 20, 10], axis=0)
    return (directions + 0.05 * generator.standard_normal((70, 8))) * generator.uniform(0.1, 9, (70, 1))


def test_feature_is_the_mean_of_the_last_map():
    maps = [torch.zeros(1, 2, 4, 4), torch.tensor([[[[1., 2.], [3., 6.]], [[0., 0.], [0., 4.]]]])]
    assert image_features(maps).tolist() == [[3., 1.]]


def test_padding_does_not_count_in_the_feature():
    valid = torch.zeros(1, 4, 4, dtype=torch.bool)
    valid[:, :, :3] = True  # cells of the right column are half padding: weights 1, 1/2
    last = torch.tensor([[[[1., 4.], [1., 4.]]]])
    assert image_features([last], valid).item() == pytest.approx((1 + 0.5 * 4) / 1.5)


@pytest.mark.parametrize('mini_batch_above', [50_000, 10])
def test_clusters_are_directions_and_counts_those_of_labeled_images(clouds, mini_batch_above, monkeypatch):
    monkeypatch.setattr(module, 'MINI_BATCH_ABOVE', mini_batch_above)
    found = fit_prototypes(clouds, 3, seed=1)
    assert sorted(found.counts.tolist()) == [10, 20, 40]
    np.testing.assert_allclose(np.linalg.norm(found.centers, axis=1), 1, rtol=1e-6)
    order = np.argsort(-found.counts)
    np.testing.assert_allclose(found.centers[order], np.eye(3, 8), atol=0.06)
    again = fit_prototypes(clouds, 3, seed=1)
    np.testing.assert_array_equal(found.counts, again.counts)


def test_assignment_is_by_cosine_not_by_length():
    prototypes = Prototypes(np.array([[1, 0], [0.6, 0.8]], np.float32), np.array([1, 1]))
    cluster, similarity = assign(torch.tensor([[100., 1.], [0.1, 0.3]]), prototypes)
    assert cluster.tolist() == [0, 1]
    assert similarity.tolist() == pytest.approx([100 / 10001**0.5, (0.06 + 0.24) / 0.1**0.5], rel=1e-6)


def test_features_of_another_length_are_an_error(clouds):
    with pytest.raises(ValueError, match='features have 5 channels, the prototypes 8'):
        assign(torch.ones(1, 5), fit_prototypes(clouds, 2))


def test_proposal_finds_the_three_directions(clouds):
    proposal = propose_num_clusters(clouds, (2, 3, 5, 500))
    assert proposal.num_clusters == 3
    assert set(proposal.scores) == {2, 3, 5}
    with pytest.raises(ValueError, match=r'none of the candidates is 2\.\.69'):
        propose_num_clusters(clouds, (1, 70))


def test_saved_and_loaded(clouds, tmp_path):
    prototypes = fit_prototypes(clouds, 3, model='vit-ab12')
    save_prototypes(tmp_path / 'p.npz', prototypes)
    loaded = load_prototypes(tmp_path / 'p.npz')
    np.testing.assert_array_equal(loaded.centers, prototypes.centers)
    assert loaded.counts.tolist() == prototypes.counts.tolist()
    assert loaded.model == 'vit-ab12'
    assert [path.name for path in tmp_path.iterdir()] == ['p.npz']


def test_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / 'p.npz', centers=np.array([{}], dtype=object), counts=[1], about=[1])
    with pytest.raises(ValueError, match='holds no prototypes'):
        load_prototypes(tmp_path / 'p.npz')
    with pytest.raises(FileNotFoundError, match='make them with `curate.py prototypes`'):
        load_prototypes(tmp_path / 'none.npz')


def test_errors_of_features(clouds):
    with pytest.raises(ValueError, match=r'num_clusters is 71; it must be 1\.\.70'):
        fit_prototypes(clouds, 71)
    clouds[4] = np.nan
    with pytest.raises(ValueError, match='1 of 70 features have no direction .* at row 4'):
        fit_prototypes(clouds, 3)

"""ClassMix: which pixels, and what becomes of image, label, weight and padding."""
from pathlib import Path

import numpy as np
import pytest
import torch

from s5_mm.models import ClassMix, FixMatchSegmentor, PseudoLabel, SemiBatch, View

GOLDEN = Path(__file__).parents[1] / 'golden'


def test_published_mask():
    golden = np.load(GOLDEN / 'thresholds.npz')
    np.random.seed(4)
    mask = ClassMix().masks(torch.tensor(golden['classmix_labels']).long())
    assert np.array_equal(mask, golden['classmix_mask'][:, 0])


def test_share_of_images():
    np.random.seed(0)
    masks = ClassMix(prob=0.25).masks(torch.zeros(400, 1, 1, dtype=torch.long))
    assert 70 < masks.sum() < 130
    with pytest.raises(ValueError, match='prob is 1.5, it must lie in'):
        ClassMix(prob=1.5)


@pytest.mark.parametrize('weighted', [False, True])
def test_pasting(tiny_segmentor, make_sample, monkeypatch, weighted):
    model = FixMatchSegmentor(tiny_segmentor(), classmix={}, consistency=dict(tau=0.9))
    monkeypatch.setattr(model.classmix, 'masks', lambda labels: torch.tensor([[[True, False], [True, False]]] * 3))
    labeled = torch.arange(1.0, 3).reshape(2, 1, 1, 1).expand(2, 3, 2, 2)
    samples = [make_sample('labeled', truth) for truth in ([[1, 1], [255, 1]], [[2, 2], [2, 2]])]
    weak = torch.zeros(3, 3, 2, 2)
    ones = torch.ones(3, 2, 2)
    target = PseudoLabel(ones.long() * 0, ones * 0.5, ones.bool(), ones * 0.25 if weighted else None)
    images, (label, confidence, valid, weight) = model.paste(SemiBatch(labeled, samples, weak, []), View(weak, target))
    assert images[:, 0].tolist() == [[[1, 0], [1, 0]], [[2, 0], [2, 0]], [[1, 0], [1, 0]]]
    assert label.tolist() == [[[1, 0], [0, 0]], [[2, 0], [2, 0]], [[1, 0], [0, 0]]]
    assert confidence[0].tolist() == [[1, 0.5], [1, 0.5]]
    assert valid[0].tolist() == [[True, True], [False, True]]
    assert weight is None if not weighted else weight[0].tolist() == [[1, 0.25], [1, 0.25]]
    assert model.consistency.counted(PseudoLabel(label, confidence, valid, weight))[1].float().tolist() == (
        [[1, 0.25]] * 2 if weighted else [[1, 0]] * 2)


def test_pasted_classes_are_distorted_with_the_image(tiny_segmentor, make_sample, monkeypatch):
    model = FixMatchSegmentor(tiny_segmentor(), classmix={}, cutmix=None)
    seen = []
    monkeypatch.setattr(model, 'distort', lambda images: seen.append(images) or images)
    images = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 3, 32, 32)
    samples = [make_sample(name, np.eye(32) * (name == 'labeled')) for name in ['labeled'] * 2 + ['unlabeled'] * 2]
    np.random.seed(0)
    losses = model.train().loss(images, samples)
    assert torch.isfinite(losses['loss_u'])
    assert set(seen[0][0].unique().tolist()) == {0, 2}
    assert set(seen[0][1].unique().tolist()) == {1, 3}

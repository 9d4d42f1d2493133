"""Cross-entropy with class weights and ignored pixels, against torch's own function."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from running import ROOT

from s5_mm.registry import MODELS

WEIGHTS = [0.25, 1.0, 3.0]


@pytest.fixture
def batch():
    """Logits of two images with 3 classes, 4 x 5 pixels; labels of which 11 are ignored."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, 4, 5), generator=generator)
    labels.view(-1)[::4] = 255
    labels[1, 2, 3] = 255
    return logits, labels


def build(**options):
    return MODELS.build(dict(type='s5_mm.S5CrossEntropyLoss', **options))


@pytest.mark.parametrize('weights', [None, WEIGHTS])
def test_mean_of_torch(batch, weights):
    loss = build(class_weight=weights)(*batch, ignore_index=255)
    expected = F.cross_entropy(*batch, weight=weights and torch.tensor(weights).double(), ignore_index=255)
    assert torch.allclose(loss, expected, atol=1e-7)


def test_mean_over_all_pixels_on_request(batch):
    loss = build(avg_non_ignore=False)(*batch, ignore_index=255)
    assert torch.allclose(loss, F.cross_entropy(*batch, ignore_index=255, reduction='sum') / 40, atol=1e-7)


def test_class_weights_with_the_shipped_head(batch):
    """``--cfg-options model.decode_head.loss_decode.class_weight=[...]`` of a config that sets nothing else."""
    loss = Config.fromfile(ROOT / 'configs/_base_/models/upernet_vit-b.py').model.decode_head.loss_decode
    loss.class_weight = WEIGHTS
    value = MODELS.build(loss)(*batch, ignore_index=255)
    assert torch.allclose(value, F.cross_entropy(*batch, weight=torch.tensor(WEIGHTS).double(), ignore_index=255))

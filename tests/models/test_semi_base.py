"""The base of semi-supervised segmentors: further losses, names of sources."""
import numpy as np
import pytest
import torch

from s5_mm.models import FixMatchSegmentor, SemiBaseSegmentor


class WithFurtherLoss(FixMatchSegmentor):

    def loss_unlabeled(self, logits, views):
        further = 100 + 0 * logits[0].sum() + self.segmentor.backbone.pos_embed.sum()
        return super().loss_unlabeled(logits, views) | dict(loss_further=further)


@pytest.fixture
def batch(make_sample):
    generator = np.random.RandomState(0)
    images = torch.tensor(generator.rand(4, 3, 32, 32), dtype=torch.float32)
    return images, [make_sample(name, np.zeros((32, 32))) for name in ('crops', 'crops', 'pool', 'pool')]


@pytest.mark.parametrize(('weights', 'factor'), [({}, 1), (dict(loss_further=0.25), 0.25)])
def test_every_loss_is_optimized(tiny_segmentor, batch, weights, factor):
    gradients = []
    for kind in (FixMatchSegmentor, WithFurtherLoss):
        torch.manual_seed(0)
        np.random.seed(0)
        model = kind(tiny_segmentor(), unlabeled_weight=0.5, labeled='crops', unlabeled='pool').train()
        model.loss_weights |= weights
        total, logs = model.parse_losses(model.loss(*batch))
        total.backward()
        gradients.append(model.segmentor.backbone.pos_embed.grad)
    further = 100 + model.segmentor.backbone.pos_embed.sum().item()
    assert logs['loss_further'].item() == pytest.approx(further, rel=1e-5)
    assert total.item() == pytest.approx(
        0.5 * logs['loss_x'].item() + 0.25 * logs['loss_u'].item() + factor * further, rel=1e-5)
    assert logs['loss'] == total
    assert torch.allclose(gradients[1] - gradients[0], torch.full_like(gradients[0], factor), atol=1e-5)


def test_a_method_must_make_views(tiny_segmentor, batch):
    model = SemiBaseSegmentor(tiny_segmentor(), labeled='crops', unlabeled='pool')
    with pytest.raises(NotImplementedError, match='SemiBaseSegmentor must implement strong_views'):
        model.loss(*batch)


def test_encoder_of_the_student_is_named(tiny_segmentor):
    model = FixMatchSegmentor(tiny_segmentor())
    assert model.get_submodule(model.encoder_prefix.removesuffix('.')) is model.segmentor.backbone

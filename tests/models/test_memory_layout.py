"""What compiled operators get: they read memory as if every tensor were contiguous, without a word if it is not."""
import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmrotate.registry import MODELS as MMROTATE_MODELS
from mmrotate.registry import TASK_UTILS as MMROTATE_TASK_UTILS
from tiny_detectors import batch, detector

from s5_mm.models import S5RotatedSingleRoIExtractor
from s5_mm.registry import MODELS


def channels_last(x):
    """Channels of a map (B, C, h, w) lie together; rows of a matrix become columns."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x.T.contiguous().T


def sliced(x):
    """Every second entry along the last axis of a tensor twice as long."""
    wide = torch.full((*x.shape[:-1], 2 * x.shape[-1]), 1e3, dtype=x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def transposed(x):
    """The last two axes lie the other way round."""
    return x.mT.contiguous().mT


LAYOUTS = [channels_last, sliced, transposed]


@pytest.fixture(autouse=True)
def _mmrotate_scope(_mmseg_scope):
    init_default_scope('mmrotate')


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.__name__)
def layout(request):
    return request.param


def same(x, layout):
    """The values in another layout."""
    other = layout(x)
    assert not other.is_contiguous()
    assert torch.equal(other, x)
    return other


class TestRoIExtractor:

    extractor = S5RotatedSingleRoIExtractor(
        roi_layer=dict(type='RoIAlignRotated', out_size=3, sample_num=2, clockwise=True), out_channels=5,
        featmap_strides=[4, 8, 16, 32])
    rois = torch.tensor([[0, 20.0, 30, 25, 12, 0.4], [1, 70, 50, 90, 40, -1.0], [1, 40, 90, 120, 110, 0.1]])

    def pooled(self, layout_of_maps, layout_of_rois, layout_of_gradient):
        """Features (3, 5, 3, 3) and the gradients of the maps."""
        rng = torch.Generator().manual_seed(0)
        maps = [torch.randn(2, 5, 128 // stride, 96 // stride, generator=rng) for stride in (4, 8, 16, 32)]
        gradient = torch.randn(3, 5, 3, 3, generator=rng)
        leaves = [level.requires_grad_() for level in maps]
        features = self.extractor([layout_of_maps(level) for level in leaves], layout_of_rois(self.rois))
        features.backward(layout_of_gradient(gradient))
        return features, [leaf.grad for leaf in leaves]

    @pytest.mark.parametrize('argument', range(3), ids=['maps', 'rois', 'gradient'])
    def test_features_and_gradients_do_not_depend_on_the_layout(self, argument, layout):
        plain = [lambda x: x] * 3
        expected = self.pooled(*plain)
        plain[argument] = lambda x: same(x, layout)
        features, gradients = self.pooled(*plain)
        assert torch.equal(features, expected[0])
        for one, other in zip(gradients, expected[1], strict=True):
            assert torch.allclose(one, other, atol=1e-6)
        assert any(gradient.abs().max() > 0 for gradient in gradients)


class TestDetector:

    @staticmethod
    def detector():
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(detector()))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        return model

    @pytest.mark.parametrize('part', ['encoder', 'neck'])
    def test_losses_boxes_and_gradients_do_not_depend_on_the_layout(self, part, layout):
        """As an encoder or a neck of somebody else's may give its maps."""
        model = self.detector()
        images, samples = batch(('red', 'green'))

        def results():
            model.zero_grad()
            losses = model.train().loss(images, copy.deepcopy(samples))
            model.parse_losses(losses)[0].backward()
            with torch.no_grad():
                boxes = [one.pred_instances.bboxes for one in model.eval().predict(images, copy.deepcopy(samples))]
            return boxes, [parameter.grad for parameter in model.parameters()]
        expected = results()
        parts = [model.backbone] if part == 'encoder' else [one.neck for one in model.detectors.values()]
        for module in parts:
            # The hook of the neck comes before those of the model.
            module.register_forward_hook(lambda _, __, maps: tuple(same(level, layout) for level in maps),
                                         prepend=True)
        boxes, gradients = results()
        for one, other in zip((*boxes, *gradients), (*expected[0], *expected[1]), strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)

    def test_maps_of_the_encoder_and_of_a_neck_behind_it_are_contiguous(self):
        """So mmrotate's own detectors can stand on it, too."""
        cfg = ConfigDict(detector())
        encoder = MODELS.build(dict(type='s5_mm.ViT', arch=cfg.backbone.arch, img_size=64, patch_size=8))
        maps = encoder(torch.randn(2, 3, 64, 64))
        assert all(level.is_contiguous() for level in maps)
        neck = MMROTATE_MODELS.build(dict(cfg.neck, in_channels=list(encoder.out_channels)))
        assert all(level.is_contiguous() for level in neck(maps))


class TestOperatorsOfTheConfig:
    """What the detector's config names besides: overlaps and the removal of duplicates."""

    boxes = torch.tensor([[20.0, 30, 25, 12, 0.4], [21, 30, 25, 12, 0.45], [60, 50, 40, 20, -1.0], [61, 52, 40, 20, -1],
                          [90, 20, 15, 10, 0.1]])

    @pytest.mark.parametrize('kind', ['RBboxOverlaps2D', 'RBbox2HBboxOverlaps2D'])
    def test_overlaps(self, kind, layout):
        calculator = MMROTATE_TASK_UTILS.build(dict(type=kind))
        others = self.boxes.flip(0) + torch.tensor([1.0, 2, 3, 1, 0.1])
        if kind == 'RBbox2HBboxOverlaps2D':
            others[:, :2], others[:, 2:4] = others[:, :2] - others[:, 2:4] / 2, others[:, :2] + others[:, 2:4] / 2
            others = others[:, :4].contiguous()
        expected = calculator(self.boxes, others)
        assert torch.allclose(calculator(same(self.boxes, layout), same(others, layout)), expected)
        assert expected.max() > 0.5

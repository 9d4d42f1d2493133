"""Upsampling that waits for the convolution behind it, against doing one after the other."""
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from s5_mm.models.layers import DeferredUpsampling
from s5_mm.registry import MODELS
from s5_mm.routing import Route


@pytest.fixture
def parts():
    torch.manual_seed(0)
    return torch.randn(2, 6, 8, 8, requires_grad=True), nn.ConvTranspose2d(6, 5, 2, stride=2)


@pytest.mark.parametrize('bias', [False, True])
def test_pointwise_convolution_and_its_gradients(parts, bias):
    x, up = parts
    conv = nn.Conv2d(5, 3, 1, bias=bias)
    results = []
    for level in (DeferredUpsampling(x, up), up(x)):
        values = conv(level)
        results.append((values, *torch.autograd.grad(values.square().sum(), [x, *up.parameters(), *conv.parameters()])))
    for ours, expected in zip(*results, strict=True):
        assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_the_large_map_never_exists_where_that_is_cheaper(parts):
    x, up = parts
    conv = nn.Conv2d(5, 3, 1, bias=False)
    level = DeferredUpsampling(x, up)
    with FlopCounterMode(display=False) as counter:
        conv(level)
    assert level._full is None
    # Weights: 6 x 5 x 3 for each of 4 positions; pixels: 2 x 8 x 8, from 6 to 3 channels at 4 positions.
    assert counter.get_total_flops() // 2 == 4 * 6 * 5 * 3 + 2 * 64 * 6 * 3 * 4
    few = DeferredUpsampling(x[:1, :, :1, :2], up)
    conv(few)
    assert few._full is not None


def test_other_functions_get_the_map(parts):
    x, up = parts
    level, full = DeferredUpsampling(x, up), up(x)
    assert level.shape == full.shape
    assert torch.equal(F.relu(level), F.relu(full))
    kernel = torch.ones(1, 5, 3, 3)
    assert torch.allclose(torch.conv2d(level, kernel[..., :1, :1]), torch.conv2d(full, kernel[..., :1, :1]), atol=1e-5)
    assert torch.equal(F.conv2d(level, kernel, padding=1), F.conv2d(full, kernel, padding=1))
    assert torch.equal(torch.cat([level, level]), torch.cat([full, full]))
    assert torch.equal(level.mean(), full.mean())


def test_parts_of_a_batch(parts):
    x, up = parts
    level = DeferredUpsampling(x, up)
    assert torch.equal(level[[1, 0]].full(), up(x)[[1, 0]])
    assert [len(part.full()) for part in level.split((1, 1))] == [1, 1]


@pytest.mark.parametrize('kind', ['s5_mm.ViT', 's5_mm.ViTMoE'])
def test_encoder_and_head_compute_the_same(tiny_vit, tiny_segmentor, kind):
    torch.manual_seed(0)
    options = dict(datasets=('red', 'green'), part_features=4) if kind == 's5_mm.ViTMoE' else {}
    plain, deferred = (MODELS.build(tiny_vit(type=kind, defer_upsampling=defer, **options)) for defer in (False, True))
    deferred.load_state_dict(plain.state_dict())
    head = MODELS.build(tiny_segmentor()['decode_head']).eval()
    route = [Route(('red', 'green'), (2, 2), (0, 2, 1, 3))] if options else []
    images = torch.randn(4, 3, 32, 32)
    levels = deferred(images, *route)
    assert isinstance(levels[0], DeferredUpsampling)
    assert torch.allclose(head(levels), head(plain(images, *route)), atol=1e-5)


def test_autocast_is_as_exact_as_one_after_the_other(parts):
    x, up = parts
    conv = nn.Conv2d(5, 3, 1)
    exact = conv(up(x))
    with torch.autocast('cpu', torch.bfloat16):
        ours, expected = conv(DeferredUpsampling(x, up)), conv(up(x))
    assert ours.dtype == torch.bfloat16
    assert (ours - exact).abs().mean() < 2 * (expected - exact).abs().mean()

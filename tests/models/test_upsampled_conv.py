"""The convolution of maps of several sizes, against upsampling and concatenating."""
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from s5_mm.models.layers import upsampled_conv2d


def as_defined(conv, maps, align_corners):
    full = [F.interpolate(x, maps[0].shape[2:], mode='bilinear', align_corners=align_corners) for x in maps]
    return conv(torch.cat(full, dim=1))


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(('kernel', 'bias'), [(3, False), ((1, 5), True)])
def test_function_and_gradients(align_corners, kernel, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(9, 4, kernel, padding=1 if kernel == 3 else (0, 2), bias=bias)
    maps = [torch.randn(2, 3, *size, requires_grad=True) for size in ((12, 16), (6, 8), (1, 3))]
    gradients = []
    for compute in (upsampled_conv2d, as_defined):
        values = compute(conv, maps, align_corners)
        gradients.append((values, *torch.autograd.grad(values.square().sum(), [conv.weight, *maps])))
    for ours, expected in zip(*gradients, strict=True):
        assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_shapes_alone_are_computed_as_defined():
    conv = nn.Conv2d(4, 2, 3, padding=1, device='meta')
    maps = [torch.empty(1, 2, 8, 8, device='meta'), torch.empty(1, 2, 4, 4, device='meta')]
    assert upsampled_conv2d(conv, maps).shape == (1, 2, 8, 8)


@pytest.mark.parametrize('options', [
    dict(kernel_size=3), dict(kernel_size=2), dict(kernel_size=3, padding=1, stride=2),
    dict(kernel_size=3, padding=1, groups=2), dict(kernel_size=3, padding=1, padding_mode='reflect')])
def test_other_convolutions_are_refused(options):
    with pytest.raises(ValueError, match='are impossible; the kernel must be odd, the padding zeros of half of it'):
        upsampled_conv2d(nn.Conv2d(4, 4, **options), [torch.zeros(1, 4, 8, 8)])


def test_autocast_is_as_exact_as_the_definition():
    torch.manual_seed(0)
    conv = nn.Conv2d(96, 32, 3, padding=1, bias=False)
    maps = [torch.randn(2, 32, size, size) for size in (16, 8, 2)]
    exact = as_defined(conv, maps, False)
    with torch.autocast('cpu', torch.bfloat16):
        ours, expected = upsampled_conv2d(conv, maps), as_defined(conv, maps, False)
    assert ours.dtype == torch.bfloat16
    assert (ours - exact).abs().mean() < 2 * (expected - exact).abs().mean()

"""The sub-pixel convolution against torch's transposed one."""
import pytest
import torch

from s5_mm.models.layers import subpixel_conv


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(('side', 'bias'), [(2, True), (2, False), (3, True)])
def test_values_and_gradients(side, bias, memory_format):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 4, 3, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    weight = torch.randn(5, 7, side, side, dtype=torch.float64, requires_grad=True)
    parameters = [weight, torch.randn(7, dtype=torch.float64, requires_grad=True)][:1 + bias]
    results = []
    for function, options in ((subpixel_conv, {}), (torch.conv_transpose2d, dict(stride=side))):
        out = function(x, weight, parameters[1] if bias else None, **options)
        results.append([out, *torch.autograd.grad((out * torch.arange(out.shape[-1])).sum(), [x, *parameters])])
    assert results[0][0].shape == (2, 7, 4 * side, 3 * side)
    for ours, expected in zip(*results, strict=True):
        assert torch.allclose(ours, expected, atol=1e-12)


def test_no_image():
    x = torch.zeros(0, 5, 4, 3, requires_grad=True)
    subpixel_conv(x, torch.zeros(5, 7, 2, 2), None).sum().backward()
    assert x.grad.shape == x.shape


def test_another_device_gets_the_transposed_convolution(monkeypatch):
    monkeypatch.setattr(torch, 'conv2d', None)
    x, weight = (torch.empty(shape, device='meta') for shape in ((2, 5, 4, 3), (5, 7, 2, 2)))
    assert subpixel_conv(x, weight, None).shape == (2, 7, 8, 6)

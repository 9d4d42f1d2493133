"""A linear layer with experts, against the composition that it stands for."""
import pytest
import torch
from torch import nn

from s5_mm.models.layers import expert_linear

SIZES = (2, 1, 3)


def build(dtype=torch.float64):
    torch.manual_seed(0)
    layers = [nn.Linear(10, channels, dtype=dtype) for channels in (4, 2, 2, 2)]
    return torch.randn(6, 5, 10, dtype=dtype, requires_grad=True), layers[0], layers[1:]


def composed(x, sizes, shared, experts):
    own = torch.cat([expert(group) for expert, group in zip(experts, x.split(sizes), strict=True)])
    return torch.cat([shared(x), own], dim=-1)


def gradients(function, frozen=()):
    """Output and the gradients of input and parameters, weighted by random numbers."""
    x, shared, experts = build()
    parameters = [parameter for layer in (shared, *experts) for parameter in layer.parameters()]
    for index in frozen:
        parameters[index].requires_grad_(False)
    out = function(x, SIZES, shared, experts)
    (out * torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))).sum().backward()
    return [out, x.grad, *(parameter.grad for parameter in parameters)]


def test_values_and_gradients():
    for ours, expected in zip(gradients(expert_linear), gradients(composed), strict=True):
        assert torch.allclose(ours, expected, atol=1e-12)


def test_frozen_parameters_get_no_gradient():
    """The shared layer and the weight of the second expert."""
    ours, expected = gradients(expert_linear, (0, 1, 4)), gradients(composed, (0, 1, 4))
    assert [grad is None for grad in ours[2:]] == [True, True, False, False, True, False, False, False]
    for mine, other in zip(ours, expected, strict=True):
        assert mine is other is None or torch.allclose(mine, other, atol=1e-12)


def test_tensors_without_values():
    """For counting; they have no autocast."""
    _, shared, experts = build()
    for layer in (shared, *experts):
        layer.to('meta')
    x = torch.empty(6, 5, 10, device='meta', dtype=torch.float64)
    assert expert_linear(x, SIZES, shared, experts).shape == (6, 5, 6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    x, shared, experts = build(torch.float32)
    with torch.autocast('cpu', dtype):
        out, expected = expert_linear(x, SIZES, shared, experts), composed(x, SIZES, shared, experts)
    assert out.dtype == dtype
    assert torch.equal(out, expected)
    out.float().sum().backward()
    assert shared.weight.grad.dtype == torch.float32
    assert experts[0].weight.grad.abs().min() > 0

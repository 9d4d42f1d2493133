"""Self-attention against mmpretrain's, whose function and parameters it has."""
import torch
from mmpretrain.models.utils import MultiheadAttention

from s5_mm.models.layers import SelfAttention


def build():
    torch.manual_seed(0)
    return MultiheadAttention(12, 3).double(), torch.randn(2, 5, 12, dtype=torch.float64)


def results(attention, images):
    """Output and all gradients, weighted by random numbers."""
    attention.zero_grad()
    images = images.clone().requires_grad_()
    out = attention(images)
    (out * torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))).sum().backward()
    return [out, images.grad, *(parameter.grad.clone() for parameter in attention.parameters())]


def test_values_and_gradients():
    given, images = build()
    expected = results(given, images)
    ours = results(SelfAttention.replacing(given), images)
    assert len(ours) == len(expected) == 6
    for own, other in zip(ours, expected, strict=True):
        assert torch.allclose(own, other, atol=1e-12)


def test_it_takes_over_the_layers_and_draws_no_random_numbers():
    given, _ = build()
    state = torch.get_rng_state()
    own = SelfAttention.replacing(given)
    assert torch.equal(torch.get_rng_state(), state)
    assert [(name, id(value)) for name, value in own.named_parameters()] == [
        (name, id(value)) for name, value in given.named_parameters()]

"""The FFN with experts, against plain linear algebra."""
import pytest
import torch
from torch.nn import functional as F

from s5_mm.models.layers import MoEFFN
from s5_mm.routing import Route

ROUTE = Route(('b', 'a'), (2, 1), None)


def build():
    torch.manual_seed(0)
    ffn = MoEFFN(6, 10, part_features=2, datasets=('a', 'b'))
    return ffn, torch.randn(3, 4, 6), torch.randn(3, 4, 6)


def test_shared_channels_come_first_and_the_data_set_decides_on_the_rest():
    ffn, x, identity = build()
    hidden = F.gelu(F.linear(x, ffn.layers[0][0].weight, ffn.layers[0][0].bias))
    out = ffn(x, identity, ROUTE) - identity
    for sample, name in enumerate('bba'):
        rows = torch.cat([ffn.layers[1].weight, ffn.experts[name].weight])
        bias = torch.cat([ffn.layers[1].bias, ffn.experts[name].bias])
        assert torch.allclose(out[sample], F.linear(hidden[sample], rows, bias), atol=1e-6)


def test_an_expert_learns_from_its_samples_alone_and_the_rest_from_all():
    ffn, x, identity = build()
    ffn(x, identity, ROUTE)[:2].square().sum().backward()
    assert ffn.experts['a'].weight.grad.abs().max() == 0
    ffn.zero_grad()
    parts = []
    for start, stop, names in ((0, 2, ('b', )), (2, 3, ('a', ))):
        ffn.zero_grad()
        route = Route(names, (stop - start, ), None)
        ffn(x[start:stop], identity[start:stop], route).square().sum().backward()
        parts.append([p.grad.clone() if p.grad is not None else torch.zeros_like(p) for p in ffn.parameters()])
    ffn.zero_grad()
    ffn(x, identity, ROUTE).square().sum().backward()
    for both, first, second in zip(ffn.parameters(), *parts, strict=True):
        assert torch.allclose(both.grad, first + second, atol=1e-5)


@pytest.mark.parametrize('frozen', [(), ('layers.1.weight', 'layers.1.bias'), ('experts.b.weight', )])
def test_gradients_are_those_of_the_composition(frozen):
    """Input, first layer, shared and own experts; weighted by random numbers."""
    ffn, x, identity = build()
    for name in frozen:
        ffn.get_parameter(name).requires_grad_(False)
    learned = [x.requires_grad_(), *(parameter for parameter in ffn.parameters() if parameter.requires_grad)]
    hidden = ffn.layers[0](x)
    own = torch.cat([ffn.experts['b'](hidden[:2]), ffn.experts['a'](hidden[2:])])
    weights = torch.randn(3, 4, 6)
    outs = ffn(x, identity, ROUTE), identity + torch.cat([ffn.layers[1](hidden), own], dim=-1)
    ours, expected = (torch.autograd.grad((out * weights).sum(), learned) for out in outs)
    for mine, other in zip(ours, expected, strict=True):
        assert torch.allclose(mine, other, atol=1e-5)


def test_drop_path():
    ffn = MoEFFN(6, 10, part_features=2, datasets=('a', ), drop_path=0.999999)
    x = torch.randn(3, 4, 6)
    assert torch.equal(ffn.train()(x, x, Route(('a', ), (3, ), None)), x)
    assert not torch.equal(ffn.eval()(x, x, Route(('a', ), (3, ), None)), x)

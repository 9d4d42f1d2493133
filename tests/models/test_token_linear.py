"""The linear layer of tokens against torch's, on both of its ways."""
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from s5_mm.models.layers import TokenLinear, token_linear


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def build(bias=True, dtype=torch.float32):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 5, bias=bias, dtype=dtype))
    TokenLinear.replace_in(model)
    return model[0], torch.randn(3, 4, 7, dtype=dtype, requires_grad=True)


def gradients(out, *inputs):
    """Output and gradients, weighted by random numbers."""
    weights = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    return [out, *torch.autograd.grad((out * weights).sum(), inputs)]


@pytest.mark.parametrize('bias', [False, True])
def test_a_large_layer_is_a_convolution_with_the_values_and_gradients_of_a_linear_one(monkeypatch, bias):
    monkeypatch.setattr(token_linear, 'SMALLEST', 35)
    layer, x = build(bias)
    out = layer(x)
    assert out.shape == (3, 4, 5)
    assert out.is_contiguous()
    inputs = [x, *layer.parameters()]
    expected = gradients(F.linear(x, layer.weight, layer.bias), *inputs)
    with torch.profiler.profile() as run:
        ours = gradients(layer(x), *inputs)
    assert {'aten::conv2d', 'aten::convolution_backward'} <= {event.name for event in run.events()}
    for own, other in zip(ours, expected, strict=True):
        assert torch.allclose(own, other, atol=1e-5)


def test_no_tokens_are_copied():
    """They are the pixels of a channels-last image as they lie in memory, and so are the gradients."""
    torch.manual_seed(0)
    layer, x = TokenLinear(512, 512), torch.randn(2, 64, 512, requires_grad=True)
    with torch.profiler.profile(record_shapes=True) as run:
        layer(x).backward(torch.ones(2, 64, 512))
    names = {event.name for event in run.events()}
    copied = [event.input_shapes[0] for event in run.events() if event.name == 'aten::copy_']
    assert 'aten::mkldnn_convolution' in names
    assert not [shape for shape in copied if 64 in shape]


def test_small_layers_one_thread_and_other_devices_stay_linear(monkeypatch):
    layer, x = build()
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    monkeypatch.setattr(token_linear, 'SMALLEST', 1)
    monkeypatch.setattr(F, 'conv2d', None)
    torch.set_num_threads(1)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    torch.set_num_threads(2)
    assert layer.to('meta')(x.to('meta')).shape == (3, 4, 5)


def test_other_shapes_and_empty_batches_are_as_linear_layers_have_them(monkeypatch):
    monkeypatch.setattr(token_linear, 'SMALLEST', 1)
    layer, _ = build()
    for shape in ((7, ), (3, 7), (2, 3, 4, 7), (0, 4, 7), (2, 0, 7)):
        x = torch.randn(shape)
        assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))


def test_compiling_breaks_nowhere(monkeypatch):
    monkeypatch.setattr(token_linear, 'SMALLEST', 1)
    layer, x = build()
    compiled = torch.compile(layer, fullgraph=True, backend='aot_eager')
    assert torch.allclose(compiled(x), F.linear(x, layer.weight, layer.bias), atol=1e-6)


def test_replacing_takes_over_the_parameters_and_draws_no_random_numbers():
    model = nn.Sequential(nn.Linear(4, 3), nn.ModuleDict(dict(own=nn.Linear(3, 2, bias=False))), nn.LayerNorm(2))
    before, state = dict(model.named_parameters()), torch.get_rng_state()
    TokenLinear.replace_in(model)
    layers = [model[0], model[1]['own']]
    TokenLinear.replace_in(model)
    assert layers == [model[0], model[1]['own']]
    assert [type(layer) for layer in layers] == [TokenLinear, TokenLinear]
    assert torch.equal(torch.get_rng_state(), state)
    assert {name: id(value) for name, value in model.named_parameters()} == {
        name: id(value) for name, value in before.items()}
    assert layers[1].bias is None

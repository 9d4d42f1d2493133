"""Encoders of timm by one wrapper, against timm's own maps; timm is installed by the set-up for developers."""
import pytest
import torch
from running import ROOT

from s5_mm.checkpoints import load_weights
from s5_mm.registry import MODELS
from s5_mm.routing import Route

timm = pytest.importorskip('timm')

VIT = dict(embed_dim=16, depth=8, num_heads=2)
TINY = {
    'vit_tiny_patch16_224': VIT, 'vit_small_patch14_reg4_dinov2': VIT, 'vit_small_patch16_dinov3': VIT,
    'convnext_atto': dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32)), 'resnet18': {},
    'swin_tiny_patch4_window7_224': dict(embed_dim=8, depths=(1, 1, 2, 1), num_heads=(1, 1, 2, 2))}


def build(name, **options):
    torch.manual_seed(0)
    return MODELS.build(dict(type='s5_mm.NamedEncoder', name=f'timm:{name}', img_size=128, options=TINY[name],
                             **options))


@pytest.mark.parametrize('name', TINY)
def test_contract_and_timms_maps(name, tmp_path):
    """A file of timm at its own size; images that are not square, of another size."""
    torch.manual_seed(1)
    theirs = timm.create_model(name, num_classes=3, **TINY[name]).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.2)
    torch.save({'state_dict': theirs.state_dict()}, tmp_path / 'timm.pth')
    encoder = build(name, with_cp=True)
    load_weights(encoder, str(tmp_path / 'timm.pth'), encoder_only=True)
    own = {key: value for key, value in theirs.state_dict().items()
           if f'model.{key}' in encoder.state_dict() and key != 'pos_embed'}
    assert len(own) > 30
    assert all(torch.equal(value, encoder.state_dict()[f'model.{key}']) for key, value in own.items())
    divisor = encoder.divisor
    images = torch.randn(2, 3, 6 * divisor, 4 * divisor)
    maps = encoder(images)
    assert tuple(level.shape[1] for level in maps) == encoder.out_channels
    assert [images.shape[2] / level.shape[2] for level in maps] == pytest.approx(encoder.map_strides)
    depths = [encoder.get_layer_depth(f'net.{key}', 'net.') for key, _ in encoder.named_parameters()]
    last, number = encoder.get_layer_depth('head.weight', 'net.')
    assert {n for _, n in depths} == {number}
    assert last == number - 1
    assert {depth for depth, _ in depths} >= set(range(number - 1))
    sum(level.square().mean() for level in maps).backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters() if parameter.requires_grad)
    if encoder.pyramid is None and 'swin' not in name:
        load_weights(encoder, theirs.state_dict(), encoder_only=True)  # of batch norms, which a training step changes
        with torch.no_grad():
            expected = theirs.forward_intermediates(images, intermediates_only=True)[-4:]
            assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4 * b.abs().max()) for a, b in zip(
                encoder.eval()(images), expected, strict=True))
    for i, key in enumerate([key for key in own if 'tracked' not in key][::5]):
        spoiled = dict(theirs.state_dict())
        value = spoiled.pop(key)
        spoiled |= ({}, {f'{key}_x': value}, {key: torch.stack([value] * 2)})[i % 3]
        with pytest.raises(ValueError, match='.'):
            load_weights(encoder, spoiled, encoder_only=True)


def test_blocks_of_a_vit():
    """Blocks 2, 4, 6 and 8 of eight; mean and std are timm's."""
    encoder = build('vit_tiny_patch16_224').eval()
    assert encoder.indices == [1, 3, 5, 7]
    assert encoder.mean == encoder.std == (127.5, ) * 3
    images = torch.randn(1, 3, 64, 96)
    blocks = encoder.model.forward_intermediates(images, indices=[5], intermediates_only=True)
    assert torch.allclose(blocks[0], encoder(images)[2], atol=1e-6)


def test_experts_and_own_files():
    """A dense file becomes shared part and experts, which files of one's own keep."""
    dense, split = build('vit_tiny_patch16_224'), build(
        'vit_tiny_patch16_224', experts=dict(names=('a', 'b'), share=1 / 4), with_cp=True)
    load_weights(split, dense.state_dict())
    images = torch.randn(2, 3, 64, 64)
    route = Route(('a', 'b'), (1, 1), None)
    assert all(torch.allclose(x, y, atol=1e-5) for x, y in zip(
        dense.eval()(images), split.eval()(images, route), strict=True))
    assert len(split.second_linears()) == 8
    assert split.get_layer_depth('model.blocks.3.mlp.fc2.experts.b.bias') == split.get_layer_depth(
        'model.blocks.3.norm1.bias')
    again = build('vit_tiny_patch16_224', experts=dict(names=('a', 'b'), share=1 / 4))
    load_weights(again, split.state_dict())
    with pytest.raises(ValueError, match='no linear layer of resnet18 has a name that ends in'):
        build('resnet18', experts=dict(names=('a', ), share=1 / 4))


def test_what_timm_has_not():
    with pytest.raises(ValueError, match="has no model 'resnet17', but e.g. "):
        MODELS.build(dict(type='s5_mm.NamedEncoder', name='timm:resnet17'))
    with pytest.raises(ValueError, match='resnet18 does not take .*nonsense'):
        MODELS.build(dict(type='s5_mm.NamedEncoder', name='timm:resnet18', options=dict(nonsense=1)))
    with pytest.raises(ValueError, match='images of 65x64 px do not fit, both sides must be multiples of 32'):
        build('convnext_atto')(torch.zeros(1, 3, 64, 65))


def test_set_up_installs_it():
    assert f'timm=={timm.__version__}' in (ROOT / 'requirements/constraints.txt').read_text().splitlines()

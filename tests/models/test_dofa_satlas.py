"""Encoders of which there are no published values: by the rule that their authors state, written down once more."""
import math

import pytest
import torch
from running import narrow
from torch import nn
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2

from s5_mm.checkpoints import load_weights
from s5_mm.models import ENCODERS
from s5_mm.registry import MODELS
from s5_mm.routing import Route

WAVES = (0.665, 0.56, 0.49, 0.842)


def dofa(**options):
    return MODELS.build(dict(type='s5_mm.NamedEncoder', name='dofa-b', img_size=64, wavelengths=WAVES,
                             mean=(0, ) * 4, std=(1, ) * 4) | narrow(ENCODERS['dofa-b'].cfg) | options).double().eval()


def dofa_file(encoder):
    """Blocks of a plain ViT, and a generator of 128 channels."""
    rng = torch.Generator().manual_seed(0)

    def random(*shape):
        return 0.2 * torch.randn(*shape, generator=rng, dtype=torch.float64)
    at, layer = 'patch_embed.weight_generator.', 'patch_embed.weight_generator.transformer_encoder.layers.0.'
    names = dict(ln1='norm1', ln2='norm2')
    file = {}
    for name, value in encoder.state_dict().items():
        if name.startswith(('pyramid.', 'patch_embed.')):
            continue
        for old, new in (*names.items(), ('layers.', 'blocks.'), ('ffn.blocks.0.0', 'mlp.fc1'), ('ffn.blocks.1',
                                                                                               'mlp.fc2')):
            name = name.replace(old, new)
        file[name] = random(*value.shape)
    shapes = {
        f'{layer}self_attn.in_proj_weight': (384, 128), f'{layer}self_attn.in_proj_bias': (384, ),
        f'{layer}self_attn.out_proj.weight': (128, 128), f'{layer}self_attn.out_proj.bias': (128, ),
        f'{layer}linear1.weight': (2048, 128), f'{layer}linear1.bias': (2048, ),
        f'{layer}linear2.weight': (128, 2048), f'{layer}linear2.bias': (128, ),
        **{f'{layer}norm{i}.{part}': (128, ) for i in (1, 2) for part in ('weight', 'bias')},
        f'{at}fc_weight.weight': (16 * 16 * 16, 128), f'{at}fc_weight.bias': (16 * 16 * 16, ),
        f'{at}fc_bias.weight': (16, 128), f'{at}fc_bias.bias': (16, ), f'{at}weight_tokens': (128, 128),
        f'{at}bias_token': (1, 128), **{f'patch_embed.fclayer.w{i}.{part}': shape for i in (1, 2) for part, shape in (
            ('weight', (128, 128)), ('bias', (128, )))}}
    return file | {name: random(*shape) for name, shape in shapes.items()}


def by_the_rule(file, image):
    """Patches of DOFA: sines of wavelengths in nanometers, a residual layer, one transformer layer, a kernel."""
    def linear(x, name):
        return x @ file[f'{name}.weight'].T + file[f'{name}.bias']

    def norm(x, name):
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        return x * file[f'{name}.weight'] + file[f'{name}.bias']
    at, layer = 'patch_embed.weight_generator.', 'patch_embed.weight_generator.transformer_encoder.layers.0.'
    angles = torch.tensor(WAVES)[:, None] * 1000 * (1 / 10000**(torch.arange(64) / 64))
    waves = torch.cat([angles.sin(), angles.cos()], dim=1).double()
    waves = waves + linear(linear(waves, 'patch_embed.fclayer.w1').relu(), 'patch_embed.fclayer.w2').relu()
    x = torch.cat([file[f'{at}weight_tokens'], waves, file[f'{at}bias_token']])
    qkv = x @ file[f'{layer}self_attn.in_proj_weight'].T + file[f'{layer}self_attn.in_proj_bias']
    q, k, v = (part.unflatten(1, (4, 32)).transpose(0, 1) for part in qkv.chunk(3, dim=1))
    seen = ((q @ k.transpose(1, 2) / math.sqrt(32)).softmax(2) @ v).transpose(0, 1).flatten(1)
    x = norm(x + linear(seen, f'{layer}self_attn.out_proj'), f'{layer}norm1')
    x = norm(x + linear(nn.functional.gelu(linear(x, f'{layer}linear1')), f'{layer}linear2'), f'{layer}norm2')
    kernel = linear(x[128:-1] + waves, f'{at}fc_weight').flatten().view(16, 4, 16, 16) * 0.01
    bias = linear(x[-1:], f'{at}fc_bias')[0] * 0.01
    return nn.functional.conv2d(image, kernel, bias, stride=16, padding=1).flatten(2).transpose(1, 2)


class TestDOFA:

    @torch.no_grad()
    def test_patch_embedding(self, tmp_path):
        encoder = dofa()
        file = dofa_file(encoder)
        torch.save({'model': file | {'mask_token': torch.zeros(1, 1, 16), 'norm.weight': torch.ones(16)}},
                   tmp_path / 'dofa.pth')
        load_weights(encoder, str(tmp_path / 'dofa.pth'), encoder_only=True)
        image = torch.randn(2, 4, 64, 96, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        ours, grid = encoder.patch_embed(image)
        assert grid == (4, 6)
        expected = by_the_rule(file, image)
        assert (ours - expected).abs().max() <= 1e-9 * expected.abs().max()
        assert encoder(image)[2].shape == (2, 16, 4, 6)
        again = dofa()
        load_weights(again, encoder.state_dict())
        assert torch.equal(again(image)[0], encoder(image)[0])

    def test_each_parameter_counts(self):
        encoder = dofa()
        file = dofa_file(encoder)
        load_weights(encoder, file, encoder_only=True)
        for i, name in enumerate(file):
            spoiled = dict(file)
            value = spoiled.pop(name)
            spoiled |= ({}, {f'{name}_x': value}, {name: torch.stack([value] * 2)})[i % 3]
            with pytest.raises(ValueError, match='.'):
                load_weights(encoder, spoiled, encoder_only=True)

    def test_others_are_refused(self):
        """A plain ViT has no border of zeros, and no generator."""
        encoder = dofa()
        plain = MODELS.build(dict(
            type='s5_mm.NamedEncoder', name='ma3e-b', img_size=64, in_channels=4, mean=(0, ) * 4, std=(1, ) * 4,
            **narrow(ENCODERS['ma3e-b'].cfg))).double()
        file = dofa_file(encoder)
        with pytest.raises(ValueError, match='weight_generator|patch_padding=1'):
            load_weights(plain, file, encoder_only=True)
        mae = {name: value for name, value in file.items() if not name.startswith('patch_embed.')}
        mae |= {'patch_embed.proj.weight': torch.zeros(16, 4, 16, 16), 'patch_embed.proj.bias': torch.zeros(16)}
        load_weights(plain, mae, encoder_only=True)
        with pytest.raises(ValueError, match='patch_padding=0, this encoder has 1'):
            load_weights(encoder, mae, encoder_only=True)

    def test_wavelengths(self):
        with pytest.raises(ValueError, match=r'wavelengths are \(0.6, 0\); give micrometers'):
            dofa(wavelengths=(0.6, 0))


class TestSatlasNet:
    """torchvision's class is the authors' own."""

    def both(self, **options):
        torch.manual_seed(0)
        theirs = SwinTransformer(
            [4, 4], 8, [1, 2, 1, 1], [1, 1, 2, 2], [8, 8], block=SwinTransformerBlockV2,
            downsample_layer=PatchMergingV2).double().eval()
        encoder = dict(ENCODERS['satlasnet-b-aerial'].cfg['encoder'], embed_dims=8, depths=(1, 2, 1, 1),
                       num_heads=(1, 1, 2, 2))
        ours = MODELS.build(dict(type='s5_mm.NamedEncoder', name='satlasnet-b-aerial', encoder=encoder, **options))
        return theirs, ours.double().eval()

    @pytest.mark.parametrize('prefix', ['backbone.backbone.', 'backbone.backbone.backbone.'])
    @torch.no_grad()
    def test_maps(self, prefix, tmp_path):
        theirs, ours = self.both()
        file = {prefix + name: value for name, value in theirs.state_dict().items()}
        torch.save(file | {'head.0.weight': torch.ones(3), 'fpn.fpn.inner.weight': torch.ones(2)}, tmp_path / 'x.pth')
        load_weights(ours, str(tmp_path / 'x.pth'), encoder_only=True)
        image = torch.randn(2, 3, 96, 64, dtype=torch.float64)
        x, maps = image, []
        for i, part in enumerate(theirs.features):
            x = part(x)
            maps += [x.permute(0, 3, 1, 2)] if i % 2 else []
        assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(ours(image), maps, strict=True))
        for i, name in enumerate([name for name in file if '.features.' in name]):
            spoiled = dict(file)
            value = spoiled.pop(name)
            spoiled |= ({}, {f'{name}_x': value}, {name: torch.stack([value] * 2)})[i % 3]
            with pytest.raises(ValueError, match='.'):
                load_weights(ours, spoiled, encoder_only=True)

    def test_depths(self):
        _, ours = self.both()
        depth = {name: ours.get_layer_depth(f'net.features.{name}', 'net.')[0] for name in (
            '0.0.weight', '1.0.norm1.weight', '2.norm.weight', '3.0.norm1.weight', '3.1.mlp.3.bias', '7.0.norm2.bias')}
        assert list(depth.values()) == [0, 1, 1, 2, 3, 5]
        assert ours.get_layer_depth('head.weight', 'net.') == (6, 7)

    def test_experts_and_recomputing(self):
        _, ours = self.both(experts=dict(names=('a', 'b'), share=1 / 4), with_cp=True)
        assert len(ours.second_linears()) == 5
        maps = ours(torch.randn(2, 3, 64, 64).double(), Route(('a', 'b'), (1, 1), None))
        sum(level.sum() for level in maps).backward()
        assert all(parameter.grad is not None for parameter in ours.parameters())

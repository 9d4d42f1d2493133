"""The encoder: same function as the published one, sizes, position tables, initialization."""
import json
import math
from collections import Counter

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from s5_mm.checkpoints import load_weights
from s5_mm.models import ViT
from s5_mm.registry import MODELS


class OperatorCounter(TorchDispatchMode, Counter):
    """How often each of torch's operators runs while it is entered."""

    def __init__(self):
        super().__init__()
        Counter.__init__(self)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self[str(func)] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def encoder(tiny_vit):
    torch.manual_seed(0)
    vit = MODELS.build(tiny_vit())
    vit.init_weights()
    vit.eval()
    return vit


class TestPublishedFunction:

    def test_features(self, golden, published_encoder):
        vit = ViT(golden.arch, img_size=golden.img_size)
        load_weights(vit, published_encoder)
        vit.eval()
        with torch.no_grad():
            maps = vit(golden.images)
        for level, values in enumerate(maps):
            expected = torch.tensor(golden.arrays[f's4p_feat{level}'])
            assert values.shape == expected.shape
            assert (values - expected).abs().max() < 1e-4

    def test_features_through_init_cfg(self, golden, published_encoder):
        vit = ViT(golden.arch, golden.img_size, init_cfg=dict(type='s5_mm.LoadWeights', checkpoint=published_encoder))
        vit.init_weights()
        vit.eval()
        with torch.no_grad():
            top = vit(golden.images)[2]
        assert (top - torch.tensor(golden.arrays['s4p_feat2'])).abs().max() < 1e-4

    @pytest.mark.parametrize(('arch', 'decoder', 'total'), [
        ('base', 9.64, 103.2), ('large', 10.69, 327.4), ('huge', 11.74, 663.4)])
    def test_parameter_counts(self, arch, decoder, total):
        """In millions, with UperNet of 256 channels and 16 classes at 512 px."""
        with torch.device('meta'):
            vit = ViT(arch)
            head = MODELS.build(dict(
                type='s5_mm.S5UPerHead', in_channels=[vit.embed_dims] * 4, in_index=[0, 1, 2, 3], channels=256,
                num_classes=16, norm_cfg=dict(type='BN')))
        counts = [sum(parameter.numel() for parameter in part.parameters()) / 1e6 for part in (vit, head)]
        assert round(counts[1], 2) == decoder
        assert round(sum(counts), 1) == total


class TestForward:

    def test_pyramid_sizes(self, encoder):
        assert [tuple(level.shape) for level in encoder(torch.zeros(2, 3, 32, 32))] == [
            (2, 16, 16, 16), (2, 16, 8, 8), (2, 16, 4, 4), (2, 16, 2, 2)]

    @pytest.mark.parametrize('size', [(64, 64), (16, 16), (32, 48), (80, 16)])
    def test_other_sizes(self, encoder, size):
        maps = encoder(torch.rand(1, 3, *size))
        assert [tuple(level.shape[-2:]) for level in maps] == [
            (size[0] // 8 * 4 // step, size[1] // 8 * 4 // step) for step in (1, 2, 4, 8)]

    def test_position_table_is_resized_bicubically_on_the_fly(self, encoder):
        seen = []
        encoder.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        nn.init.zeros_(encoder.patch_embed.projection.weight)
        nn.init.zeros_(encoder.patch_embed.projection.bias)
        encoder(torch.rand(1, 3, 32, 48))
        table = encoder.pos_embed.reshape(1, 4, 4, 16).permute(0, 3, 1, 2)
        expected = nn.functional.interpolate(table, size=(4, 6), mode='bicubic', align_corners=False)
        assert torch.allclose(seen[0], expected.flatten(2).transpose(1, 2), atol=1e-6)

    @pytest.mark.parametrize(('size', 'told'), [((36, 32), '32x36'), ((32, 41), '41x32'), ((8, 32), '32x8')])
    def test_unfit_size(self, encoder, size, told):
        with pytest.raises(ValueError, match=f'images of {told} px do not fit, both sides must be multiples of 8 and '
                           'at least 16; set the crop size'):
            encoder(torch.zeros(1, 3, *size))

    def test_checkpointing_changes_nothing(self, tiny_vit):
        gradients = []
        for with_cp in (False, True, 'selective'):
            torch.manual_seed(0)
            vit = MODELS.build(tiny_vit(with_cp=with_cp, drop_path_rate=0.5))
            torch.manual_seed(1)
            maps = vit(torch.rand(4, 3, 32, 32))
            sum(level.square().mean() for level in maps).backward()
            gradients.append([parameter.grad for parameter in vit.parameters()])
        for plain, *others in zip(*gradients, strict=True):
            assert all(torch.allclose(plain, other, atol=1e-7) for other in others)

    @pytest.mark.parametrize(('with_cp', 'expected'), [(False, 16), (True, 28), ('selective', 16)])
    def test_what_is_computed_again(self, tiny_vit, with_cp, expected):
        """Of four linear layers in each of four blocks: all again but the last, whose result nothing needs, or none."""
        vit = MODELS.build(tiny_vit(with_cp=with_cp))
        with OperatorCounter() as counter:
            sum(level.sum() for level in vit(torch.rand(2, 3, 32, 32))).backward()
        assert counter['aten.addmm.default'] == expected

    def test_drop_path_is_on_the_ffn_alone_and_rises(self, tiny_vit):
        vit = MODELS.build(tiny_vit(drop_path_rate=0.3))
        assert [getattr(layer.ffn.dropout_layer, 'drop_prob', 0) for layer in vit.layers] == pytest.approx(
            [0, 0.1, 0.2, 0.3])
        assert all(layer.attn.out_drop.drop_prob == 0 for layer in vit.layers)
        both = MODELS.build(tiny_vit(drop_path_rate=0.3, drop_path_on_attention=True))
        assert both.layers[3].attn.out_drop.drop_prob == pytest.approx(0.3)

    def test_norms(self, encoder):
        assert {layer.eps for layer in encoder.modules() if type(layer) is nn.LayerNorm} == {1e-5}
        assert encoder.pyramid.upsample_4x[1].eps == 1e-6
        other = ViT('tiny', norm_eps=1e-6)
        assert {layer.eps for layer in other.modules() if type(layer) is nn.LayerNorm} == {1e-6}

    @pytest.mark.parametrize(('options', 'message'), [
        (dict(arch='giant'), r"arch 'giant' is unknown; choose from \['tiny', 'small', 'base', 'large', 'huge'\]"),
        (dict(with_cp='some'), "with_cp is 'some'; choose from False, True and 'selective'"),
        (dict(out_indices=(1, 3)), r'out_indices is \(1, 3\), four are needed'),
        (dict(arch=dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)), 'out_indices is None'),
    ])
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            ViT(**{'arch': 'tiny', **options})


class TestPositionTable:
    """Tables of the sizes that real files have, in a narrow encoder."""

    ARCH = dict(embed_dims=4, num_layers=4, num_heads=1, feedforward_channels=4, out_indices=(0, 1, 2, 3))

    @staticmethod
    def resized(table, side):
        old = math.isqrt(table.shape[1])
        grid = table.reshape(1, old, old, -1).permute(0, 3, 1, 2)
        grid = nn.functional.interpolate(grid, size=(side, side), mode='bicubic', align_corners=False)
        return grid.flatten(2).transpose(1, 2)

    @pytest.mark.parametrize('class_entry', [False, True])
    @pytest.mark.parametrize(('old', 'img_size'), [(14, 512), (32, 224), (14, 224)])
    def test_any_square_table(self, old, img_size, class_entry):
        torch.manual_seed(0)
        vit = ViT(self.ARCH, img_size=img_size)
        table = torch.randn(1, old**2 + class_entry, 4)
        expected = self.resized(table[:, class_entry:], img_size // 16)
        assert torch.allclose(vit.adapt_weights(dict(pos_embed=table))['pos_embed'], expected, atol=1e-6)

    def test_class_entry_of_an_encoder_with_class_token(self):
        vit = ViT(self.ARCH, img_size=64, class_token=True)
        table = torch.randn(1, 5, 4)
        found = vit.adapt_weights(dict(pos_embed=table))['pos_embed']
        assert torch.equal(found[:, :1], table[:, :1])
        assert torch.allclose(found[:, 1:], self.resized(table[:, 1:], 4), atol=1e-6)
        with pytest.raises(ValueError, match='none of them for the class token .*class_token=False'):
            vit.adapt_weights(dict(pos_embed=table[:, 1:]))

    def test_rectangular_table_of_its_own_size_with_class_entry(self):
        table = torch.randn(1, 9, 4)
        found = ViT(self.ARCH, img_size=(32, 64)).adapt_weights(dict(pos_embed=table))
        assert torch.equal(found['pos_embed'], table[:, 1:])

    @pytest.mark.parametrize('entries', [8, 12, 39])
    def test_table_that_is_not_square(self, entries):
        with pytest.raises(ValueError, match=f'pos_embed has {entries} entries, neither a square number nor one more'):
            ViT(self.ARCH, img_size=64).adapt_weights(dict(pos_embed=torch.zeros(1, entries, 4)))


def mae_weights(vit, entries):
    """The encoder's weights as a MAE file names them, with a class entry, a final norm and a decoder; no pyramid."""
    names = dict(ln1='norm1', ln2='norm2')
    weights = {}
    for name, value in vit.state_dict().items():
        if name.startswith('pyramid.'):
            continue
        for ours, theirs in names.items():
            name = name.replace(f'.{ours}.', f'.{theirs}.')
        name = name.replace('layers.', 'blocks.', 1) if name.startswith('layers.') else name
        name = name.replace('.ffn.layers.0.0.', '.mlp.fc1.').replace('.ffn.layers.1.', '.mlp.fc2.')
        weights[name.replace('patch_embed.projection', 'patch_embed.proj')] = torch.randn_like(value)
    weights['pos_embed'] = torch.randn(1, entries, vit.embed_dims)
    weights.update({'cls_token': torch.zeros(1, 1, vit.embed_dims), 'norm.weight': torch.ones(vit.embed_dims),
                    'decoder_blocks.0.attn.qkv.weight': torch.zeros(3, 3)})
    return weights


class TestInitialization:

    @pytest.fixture
    def mae_file(self, tmp_path, encoder):
        torch.manual_seed(3)
        weights = mae_weights(encoder, 17)
        torch.save({'model': weights}, tmp_path / 'mae.pth')
        return str(tmp_path / 'mae.pth'), weights

    def test_mae_file(self, tiny_vit, mae_file):
        path, weights = mae_file
        vit = MODELS.build(tiny_vit(init_cfg=dict(type='s5_mm.LoadWeights', checkpoint=path)))
        before = vit.pyramid.state_dict()['upsample_2x.0.weight'].clone()
        vit.init_weights()
        assert torch.equal(vit.layers[2].attn.qkv.weight, weights['blocks.2.attn.qkv.weight'])
        assert torch.equal(vit.layers[0].attn.proj.bias, weights['blocks.0.attn.proj.bias'])
        assert torch.equal(vit.layers[1].ffn.layers[0][0].weight, weights['blocks.1.mlp.fc1.weight'])
        assert torch.equal(vit.layers[1].ffn.layers[1].bias, weights['blocks.1.mlp.fc2.bias'])
        assert torch.equal(vit.layers[3].ln2.weight, weights['blocks.3.norm2.weight'])
        assert torch.equal(vit.patch_embed.projection.weight, weights['patch_embed.proj.weight'])
        assert torch.equal(vit.pos_embed, weights['pos_embed'][:, 1:])
        assert torch.equal(vit.pyramid.upsample_2x[0].weight, before)

    def test_init_cfg_survives_and_a_segmentor_passes_it_on(self, tiny_vit, tiny_segmentor, mae_file):
        path, weights = mae_file
        init_cfg = dict(type='s5_mm.LoadWeights', checkpoint=path)
        model = MODELS.build(tiny_segmentor(tiny_vit(init_cfg=init_cfg)))
        model.init_weights()
        assert torch.equal(model.backbone.layers[2].attn.qkv.weight, weights['blocks.2.attn.qkv.weight'])
        assert model.backbone.init_cfg == init_cfg

    def test_file_is_reported(self, tiny_vit, mae_file, monkeypatch):
        lines = []
        monkeypatch.setattr(MMLogger.get_current_instance(), 'info', lambda text, *args: lines.append(text % args))
        vit = MODELS.build(tiny_vit())
        load_weights(vit, mae_file[0], encoder_only=True)
        assert 'MAE / timm ViT format' in lines[-1]
        rows = {row.split('|')[1].strip(): row.split('|')[2:4] for row in lines[-1].splitlines() if row.startswith('|')}
        pyramid = list(vit.pyramid.parameters())
        assert [int(cell) for cell in rows['left at initialization']] == [
            len(pyramid), sum(parameter.numel() for parameter in pyramid)]
        assert [int(cell) for cell in rows['of another shape']] == [0, 0]
        assert int(rows['dropped'][0]) == 3

    def test_without_a_file_the_position_table_is_drawn(self, tiny_vit):
        vit = MODELS.build(tiny_vit())
        assert vit.pos_embed.abs().max() == 0
        vit.init_weights()
        assert 0.01 < vit.pos_embed.std() < 0.03
        assert isinstance(vit, BaseModule)

    def test_missing_file(self, tiny_vit):
        vit = MODELS.build(tiny_vit(init_cfg=dict(type='s5_mm.LoadWeights', checkpoint='no/such/mae.pth')))
        with pytest.raises(FileNotFoundError, match='Checkpoint no/such/mae.pth is not a file'):
            vit.init_weights()

    def test_config_is_plain_data(self, tiny_vit):
        assert json.loads(json.dumps(tiny_vit()))['type'] == 's5_mm.ViT'

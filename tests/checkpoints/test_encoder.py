"""Loading encoders of every naming style, and being told when a file does not fit."""
import pytest
import torch
from mmengine.logging import MMLogger
from safetensors.torch import save_file

from s5_mm.checkpoints import load_encoder
from s5_mm.checkpoints.formats import FORMATS, PUBLISHED, inverse, recognize, rename, translate
from s5_mm.models import ViT
from s5_mm.registry import MODELS

MAE = next(style for style in FORMATS if style.name == 'MAE / timm ViT')


def build(tiny_vit, seed, **kwargs):
    torch.manual_seed(seed)
    vit = MODELS.build(tiny_vit(**kwargs))
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter)
    return vit


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture
def source(tiny_vit):
    return build(tiny_vit, 0)


@pytest.fixture
def target(tiny_vit):
    return build(tiny_vit, 1)


def saved(tmp_path, weights, prefix='', key='state_dict'):
    path = tmp_path / 'x.pth'
    torch.save({key: {prefix + name: value for name, value in weights.items()}}, path)
    return str(path)


class TestFormats:

    def test_every_published_name_becomes_one_of_ours(self, golden):
        arch = golden.arch
        vit = MODELS.build(dict(type='s5_mm.ViT', arch=arch, img_size=golden.img_size))
        theirs = [name.removeprefix('encoder.') for name in golden.weights if name.startswith('encoder.')]
        ours = {translate(name, PUBLISHED) for name in theirs}
        assert ours - set(vit.state_dict()) == {'cls_token'}  # unused there
        assert set(vit.state_dict()) <= ours

    @pytest.mark.parametrize(('theirs', 'ours'), [
        ('patch_embed.proj.bias', 'patch_embed.projection.bias'),
        ('blocks.11.norm2.weight', 'layers.11.ln2.weight'),
        ('blocks.3.attn.qkv.bias', 'layers.3.attn.qkv.bias'),
        ('blocks.3.attn.proj.weight', 'layers.3.attn.proj.weight'),
        ('blocks.0.mlp.fc1.weight', 'layers.0.ffn.layers.0.0.weight'),
        ('blocks.0.mlp.fc2.bias', 'layers.0.ffn.layers.1.bias'),
        ('pos_embed', 'pos_embed'),
        ('decoder_blocks.0.attn.qkv.weight', 'decoder_blocks.0.attn.qkv.weight'),
    ])
    def test_mae_names(self, theirs, ours):
        assert translate(theirs, MAE) == ours

    def test_what_no_row_names_is_not_of_the_encoder(self):
        assert rename('decoder_blocks.0.attn.qkv.weight', MAE.rows) is None
        assert rename('blocks.0.ls1.gamma', MAE.rows) is None
        assert rename('cls_token', PUBLISHED.rows) is None

    def test_every_table_reads_both_ways(self, source):
        for style in FORMATS:
            ours = [name for name in source.state_dict() if not (style.lacks and name.startswith('pyramid.'))]
            theirs = [rename(name, inverse(style.rows)) for name in ours]
            assert len(set(theirs)) == len(ours)
            assert [rename(name, style.rows) for name in theirs] == ours


def shaped(shapes, prefix=''):
    return {prefix + name: torch.zeros(shape) for name, shape in shapes.items()}


class TestRecognizer:
    """By names and shapes: C = 4, patches of 2 px."""

    MAE_SHAPES = {'blocks.0.attn.qkv.weight': (12, 4), 'patch_embed.proj.weight': (4, 3, 2, 2), 'pos_embed': (1, 5, 4)}
    FUSED_SHAPES = {'layers.0.attn.attn.in_proj_weight': (12, 4), 'patch_embed.projection.weight': (4, 3, 2, 2)}
    QKV_SHAPES = {'layers.0.attn.qkv.weight': (12, 4), 'patch_embed.projection.weight': (4, 3, 2, 2)}

    @pytest.mark.parametrize(('shapes', 'style'), [
        (MAE_SHAPES, 'MAE / timm ViT'),
        (FUSED_SHAPES | {'pos_embed': (1, 4, 4)}, 'published S5'),
        (FUSED_SHAPES | {'pos_embed': (1, 5, 4)}, 'mmseg ViT'),
        (FUSED_SHAPES, 'published S5'),
        (QKV_SHAPES | {'pos_embed': (1, 5, 4)}, 'mmpretrain ViT'),
        (QKV_SHAPES | {'pos_embed': (1, 4, 4), 'pyramid.upsample_4x.0.weight': (4, 4, 2, 2)}, 's5_mm'),
    ])
    @pytest.mark.parametrize('prefix', ['', 'module.encoder.'])
    def test_styles(self, shapes, style, prefix):
        weights = shaped(shapes, prefix) | {'decoder_blocks.0.attn.qkv.weight': torch.zeros(12, 4)}
        assert [(found.name, start) for found, start in recognize(weights)] == [(style, prefix)]

    @pytest.mark.parametrize('other', [
        {'patch_embed.proj.weight': (4, 3, 2, 2, 2)},  # of videos
        {'patch_embed.proj.weight': (8, 3, 2, 2)},  # not the width of the blocks
        {'blocks.0.attn.qkv.weight': (8, 4)},  # keys and values alone
        {'pos_embed': (1, 5, 8)},
        {'pos_embed': (1, 4, 2, 2)},
    ])
    def test_other_shapes_are_no_plain_vit(self, other):
        assert recognize(shaped(self.MAE_SHAPES | other)) == []

    def test_other_names(self):
        assert recognize({'layer1.0.conv1.weight': torch.zeros(1)}) == []
        assert recognize(shaped({'blocks.0.attn.qkv.weight': (12, 4)})) == []


class TestLoading:

    @pytest.mark.parametrize(('prefix', 'key'), [('', 'model'), ('backbone.', 'state_dict'), ('a.backbone.', 'model')])
    def test_prefix_is_found(self, tmp_path, source, target, prefix, key):
        load_encoder(target, saved(tmp_path, source.state_dict(), prefix, key))
        assert equal(source, target)

    def test_bare_and_safetensors(self, tmp_path, source, target, tiny_vit):
        torch.save(source.state_dict(), tmp_path / 'x.pth')
        load_encoder(target, str(tmp_path / 'x.pth'))
        assert equal(source, target)
        other = build(tiny_vit, 2)
        save_file(source.state_dict(), tmp_path / 'x.safetensors')
        load_encoder(other, str(tmp_path / 'x.safetensors'))
        assert equal(source, other)

    def test_whole_published_segmentor(self, tmp_path, golden, published_encoder):
        """The encoder inside ``*_s4p_upernet.pth`` and the encoder alone are the same."""
        encoders = [MODELS.build(dict(type='s5_mm.ViT', arch=golden.arch, img_size=golden.img_size)) for _ in range(2)]
        load_encoder(encoders[0], saved(tmp_path, golden.weights, 'module.', 'model'))
        load_encoder(encoders[1], published_encoder)
        assert equal(*encoders)

    def test_half_precision_file_leaves_the_model_in_fp32(self, tmp_path, source, target):
        load_encoder(target, saved(tmp_path, {name: value.half() for name, value in source.state_dict().items()}))
        assert target.pos_embed.dtype == torch.float32
        assert torch.equal(target.pos_embed, source.pos_embed.half().float())

    def test_two_encoders_need_a_choice(self, tmp_path, source, target, tiny_vit):
        second = build(tiny_vit, 5)
        path = saved(tmp_path, {**{f'segmentor.backbone.{n}': v for n, v in source.state_dict().items()},
                                **{f'teacher.module.backbone.{n}': v for n, v in second.state_dict().items()}})
        with pytest.raises(ValueError, match=r"2 encoders, at \['segmentor.backbone.', 'teacher.module.backbone.'\]; "
                           "choose one with prefix="):
            load_encoder(target, path)
        load_encoder(target, path, prefix='teacher.module.backbone.')
        assert equal(target, second)
        with pytest.raises(ValueError, match="no plain ViT encoder in a known format .* at 'backbone.'"):
            load_encoder(target, path, prefix='backbone.')

    def test_prefix_through_init_cfg(self, tmp_path, source, tiny_vit):
        path = saved(tmp_path, {**{f'a.{n}': v + 1 for n, v in source.state_dict().items()},
                                **{f'b.{n}': v for n, v in source.state_dict().items()}})
        vit = build(tiny_vit, 3, init_cfg=dict(type='Pretrained', checkpoint=path, prefix='b.'))
        vit.init_weights()
        assert equal(vit, source)


class TestMisfits:

    def test_other_width(self, tmp_path, source, tiny_vit):
        arch = dict(embed_dims=24, num_layers=4, num_heads=2, feedforward_channels=32, out_indices=(0, 1, 2, 3))
        wide = build(tiny_vit, 1, arch=arch)
        before = wide.layers[0].ffn.layers[1].bias.clone()
        with pytest.raises(ValueError, match=r'fits [\d.]+% of the encoder parameters that it should hold, at '
                           r"least 95% must fit, in each tensor's shape. The file is 16 wide, this encoder 24: "):
            load_encoder(wide, saved(tmp_path, source.state_dict()))
        assert torch.equal(wide.layers[0].ffn.layers[1].bias, before)

    def test_other_patch_in_a_mostly_fitting_file(self, tmp_path, tiny_vit):
        """Only the first layer does not fit, yet nothing may train on it, however small its share is."""
        arch = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=64, out_indices=(0, 1, 2, 3))
        fourteen = build(tiny_vit, 0, arch=arch, img_size=28, patch_size=14).state_dict()
        with pytest.raises(ValueError, match='patches of 14 px, this encoder of 16: set patch_size=14 and fitting'):
            load_encoder(build(tiny_vit, 1, arch=arch, patch_size=16), saved(tmp_path, fourteen), min_share=0.1)

    def test_public_vit_h_of_patch_14(self, tmp_path):
        """Facebook's MAE ViT-H: 99.9 % of its parameters have the right shape. Two blocks of it, and no memory."""
        arch = dict(embed_dims=1280, num_layers=2, num_heads=16, feedforward_channels=8, out_indices=(0, 0, 1, 1))
        with torch.device('meta'):
            huge, fourteen = ViT(arch), ViT(arch, img_size=224, patch_size=14)
        mae = {rename(name, inverse(MAE.rows)): value for name, value in fourteen.state_dict().items()
               if not name.startswith('pyramid.')}
        mae['pos_embed'] = torch.zeros(1, 257, 1280, device='meta')
        with pytest.raises(ValueError, match=r'fits 9\d\.\d% .* is a ViT-H of patch 14, as the public MAE ViT-H is; '
                           'that of S5 has patch 16'):
            load_encoder(huge, saved(tmp_path, mae, key='model'))

    @pytest.mark.parametrize('name', ['blocks.1.ls1.gamma', 'blocks.0.attn.q_norm.weight',
                                      'blocks.3.attn.relative_position_bias_table'])
    def test_blocks_that_do_more(self, tmp_path, source, target, name):
        """All parameters of the encoder are there, but the function would be another."""
        weights = {rename(ours, inverse(MAE.rows)): value for ours, value in source.state_dict().items()
                   if not ours.startswith('pyramid.')}
        load_encoder(target, saved(tmp_path, weights))
        with pytest.raises(ValueError, match=f'blocks have 1 parameters that the plain ViT of S5 has not, e.g. {name}'):
            load_encoder(target, saved(tmp_path, weights | {name: torch.ones(16)}))

    def test_share_of_the_config(self, tmp_path, source, tiny_vit):
        weights = {name: value for name, value in source.state_dict().items() if not name.startswith('layers.3.')}
        init_cfg = dict(type='Pretrained', checkpoint=saved(tmp_path, weights))
        with pytest.raises(ValueError, match='at least 95% must fit'):
            build(tiny_vit, 1, init_cfg=init_cfg).init_weights()
        vit = build(tiny_vit, 1, init_cfg=init_cfg, min_share=0.5)
        vit.init_weights()
        assert torch.equal(vit.pos_embed, source.pos_embed)

    def test_fewer_layers(self, tmp_path, source, target):
        weights = {name: value for name, value in source.state_dict().items() if not name.startswith('layers.3.')}
        with pytest.raises(ValueError, match='(?s)s5_mm format.*belongs to another architecture.*left at init'):
            load_encoder(target, saved(tmp_path, weights))

    def test_share_that_must_fit_depends_on_what_the_format_holds(self, tmp_path, source, target):
        """Without its pyramid a file of our own names still fits wholly; half a pyramid does not."""
        pyramid = [name for name in source.state_dict() if name.startswith('pyramid.')]
        plain = {name: value for name, value in source.state_dict().items() if name not in pyramid}
        kept = target.pyramid.upsample_2x[0].weight.clone()
        load_encoder(target, saved(tmp_path, plain), min_share=1.0)
        assert torch.equal(target.pos_embed, source.pos_embed)
        assert torch.equal(target.pyramid.upsample_2x[0].weight, kept)

    def test_published_file_must_hold_the_pyramid(self, tmp_path, golden):
        weights = {name: value for name, value in golden.weights.items() if '.fpn' not in name}
        vit = MODELS.build(dict(type='s5_mm.ViT', arch=golden.arch, img_size=golden.img_size))
        with pytest.raises(ValueError, match=r'\(published S5 format\) fits'):
            load_encoder(vit, saved(tmp_path, weights))

    @pytest.mark.parametrize(('missing', 'fits'), [(0.04, True), (0.06, False)])
    def test_border(self, tmp_path, source, target, missing, fits):
        """Leave out whole tensors until the wanted share of numbers is missing."""
        weights = source.state_dict()
        total = sum(value.numel() for value in weights.values())
        for name, value in sorted(source.state_dict().items(), key=lambda item: item[1].numel()):
            if (total - sum(v.numel() for v in weights.values()) + value.numel()) / total > missing:
                break
            if not name.startswith(('pyramid.', 'layers.0.attn')):
                weights.pop(name)
        share = sum(value.numel() for value in weights.values()) / total
        if fits:
            assert share < 0.98
            load_encoder(target, saved(tmp_path, weights))
        else:
            with pytest.raises(ValueError, match=f'fits {share:.1%} of'):
                load_encoder(target, saved(tmp_path, weights), min_share=share + 1e-3)

    def test_another_network(self, tmp_path, target):
        with pytest.raises(ValueError, match=r'no plain ViT encoder in a known format \(s5_mm, published S5, MAE / '
                           r"timm ViT, mmpretrain ViT, mmseg ViT\); its names begin with \['conv1.weight', 'layer"):
            load_encoder(target, saved(tmp_path, {'conv1.weight': torch.zeros(1), 'layer1.0.bn1.bias': torch.zeros(1)}))


def test_report_tells_what_was_split_and_resized(tmp_path, source, tiny_vit, monkeypatch):
    """A dense encoder of other images becomes one with experts: 4 blocks x (2 shared + 2 datasets x 2)."""
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', lambda text, *args: lines.append(text % args))
    moe = build(tiny_vit, 1, type='s5_mm.ViTMoE', datasets=('red', 'green'), part_features=4, img_size=64)
    load_encoder(moe, saved(tmp_path, source.state_dict()))
    rows = {row.split('|')[1].strip(): row.split('|')[2:4] for row in lines[-1].splitlines() if row.startswith('|')}
    # Of 16 channels 12 are shared and 4 each dataset's: 20 rows of 32 weights and a bias.
    assert [int(cell) for cell in rows['split into experts']] == [24, 4 * 20 * 33]
    assert [int(cell) for cell in rows['resized']] == [1, 64 * 16]
    total = sum(int(rows[what][0]) for what in ('loaded', 'resized', 'split into experts'))
    assert total == len(list(moe.parameters()))

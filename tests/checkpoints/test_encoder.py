"""Loading encoders of every naming style, and being told when a file does not fit."""
import pytest
import torch
from safetensors.torch import save_file

from s5_mm.checkpoints import load_encoder
from s5_mm.checkpoints.formats import FORMATS, recognise, translate
from s5_mm.registry import MODELS

OURS, MAE, PUBLISHED = FORMATS


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

    def test_recognise_gives_prefixes(self):
        names = [f'module.encoder.layers.{layer}.attn.attn.in_proj_weight' for layer in (0, 10)]
        assert recognise(names) == [(PUBLISHED, 'module.encoder.')]
        assert recognise(['blocks.0.attn.qkv.weight', 'decoder_blocks.0.attn.qkv.weight']) == [(MAE, '')]
        assert recognise(['layer1.0.conv1.weight']) == []


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
        with pytest.raises(ValueError, match="no ViT encoder in a known format .* at 'backbone.'"):
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
                           'least 95% must fit. The file has width 16 and patch 8, this encoder width 24 and patch 8;'):
            load_encoder(wide, saved(tmp_path, source.state_dict()))
        assert torch.equal(wide.layers[0].ffn.layers[1].bias, before)

    def test_other_patch_in_a_mostly_fitting_file(self, tmp_path, tiny_vit):
        """As Facebook's ViT-H, which has patch 14: only the first layer does not fit, yet nothing may train on it."""
        arch = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=64, out_indices=(0, 1, 2, 3))
        fourteen = build(tiny_vit, 0, arch=arch, img_size=28, patch_size=14).state_dict()
        with pytest.raises(ValueError, match='The file has width 16 and patch 14, this encoder width 16 and patch 16'):
            load_encoder(build(tiny_vit, 1, arch=arch, patch_size=16), saved(tmp_path, fourteen))

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
        with pytest.raises(ValueError, match=r'no ViT encoder in a known format \(s5_mm, MAE / timm ViT, published S5\)'
                           r"; its names begin with \['conv1.weight', 'layer1.0.bn1.bias'\]"):
            load_encoder(target, saved(tmp_path, {'conv1.weight': torch.zeros(1), 'layer1.0.bn1.bias': torch.zeros(1)}))

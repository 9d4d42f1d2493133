"""Loading weights of every format: what is told by names, what is loaded, what is left out."""
import re

import pytest
import torch
from mmengine.logging import MMLogger
from running import ROOT
from safetensors.torch import save_file

from s5_mm.checkpoints import load_weights, read_checkpoint
from s5_mm.checkpoints.adapters import find_adapter, inverse, rename
from s5_mm.checkpoints.formats import MAEViT, MMPretrainViT, MMSegViT, PublishedEncoder, S5ViT
from s5_mm.models import ViT
from s5_mm.registry import ADAPTERS, MODELS

VITS = (S5ViT, PublishedEncoder, MAEViT, MMPretrainViT, MMSegViT)


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


def mae(vit):
    """A file of MAE with this encoder's weights."""
    return {rename(name, inverse(MAEViT.rows)): value for name, value in vit.state_dict().items()
            if not name.startswith('pyramid.')}


class TestTables:

    def test_every_published_name_becomes_one_of_ours(self, golden):
        vit = MODELS.build(dict(type='s5_mm.ViT', arch=golden.arch, img_size=golden.img_size))
        theirs = {name.removeprefix('encoder.'): value for name, value in golden.weights.items()
                  if name.startswith('encoder.')}
        ours = PublishedEncoder().to_model(theirs, '')
        assert ours.keys() == {f'backbone.{name}' for name in vit.state_dict()} | {'unused.cls_token'}

    @pytest.mark.parametrize(('theirs', 'ours'), [
        ('patch_embed.proj.bias', 'patch_embed.projection.bias'),
        ('blocks.11.norm2.weight', 'layers.11.ln2.weight'),
        ('blocks.3.attn.qkv.bias', 'layers.3.attn.qkv.bias'),
        ('blocks.3.attn.proj.weight', 'layers.3.attn.proj.weight'),
        ('blocks.0.mlp.fc1.weight', 'layers.0.ffn.layers.0.0.weight'),
        ('blocks.0.mlp.fc2.bias', 'layers.0.ffn.layers.1.bias'),
        ('pos_embed', 'pos_embed'),
        ('pos_embed_probs', None),
        ('decoder_blocks.0.attn.qkv.weight', None),
        ('blocks.0.ls1.gamma', None),
    ])
    def test_mae_names(self, theirs, ours):
        assert rename(theirs, MAEViT.rows) == ours

    @pytest.mark.parametrize('adapter', VITS)
    def test_every_table_reads_both_ways(self, source, adapter):
        weights = {f'backbone.{name}': value for name, value in source.state_dict().items()
                   if not (adapter.may_lack and name.startswith('pyramid.'))}
        theirs = adapter().from_model(weights)
        assert len(theirs) == len(weights) + (adapter is PublishedEncoder)  # the unused class token
        assert weights.items() <= adapter().to_model(theirs, adapter.encoder).items()


def shaped(shapes, prefix=''):
    return {prefix + name: torch.zeros(shape) for name, shape in shapes.items()}


class TestRecognition:
    """By names and shapes: C = 4, patches of 2 px."""

    MAE_SHAPES = {'blocks.0.attn.qkv.weight': (12, 4), 'patch_embed.proj.weight': (4, 3, 2, 2), 'pos_embed': (1, 5, 4)}
    FUSED_SHAPES = {'layers.0.attn.attn.in_proj_weight': (12, 4), 'patch_embed.projection.weight': (4, 3, 2, 2)}
    QKV_SHAPES = {'layers.0.attn.qkv.weight': (12, 4), 'patch_embed.projection.weight': (4, 3, 2, 2)}

    @pytest.mark.parametrize(('shapes', 'name'), [
        (MAE_SHAPES, 'MAE / timm ViT'),
        (FUSED_SHAPES | {'pos_embed': (1, 4, 4)}, 'published S4P encoder'),
        (FUSED_SHAPES | {'pos_embed': (1, 5, 4)}, 'mmseg ViT'),
        (FUSED_SHAPES, 'published S4P encoder'),
        (QKV_SHAPES | {'pos_embed': (1, 5, 4)}, 'mmpretrain ViT'),
        (QKV_SHAPES | {'pos_embed': (1, 4, 4), 'pyramid.upsample_4x.0.weight': (4, 4, 2, 2)}, 's5_mm'),
    ])
    @pytest.mark.parametrize('prefix', ['', 'module.encoder.'])
    def test_formats(self, shapes, name, prefix):
        weights = shaped(shapes, prefix) | {'decoder_blocks.0.attn.qkv.weight': torch.zeros(12, 4)}
        adapter, found = find_adapter(weights, 'x.pth')
        assert (adapter.name, found) == (name, prefix)

    @pytest.mark.parametrize('other', [
        {'patch_embed.proj.weight': (4, 3, 2, 2, 2)},  # of videos
        {'patch_embed.proj.weight': (8, 3, 2, 2)},  # not the width of the blocks
        {'blocks.0.attn.qkv.weight': (8, 4)},  # keys and values alone
        {'pos_embed': (1, 5, 8)},
        {'pos_embed': (1, 4, 2, 2)},
    ])
    def test_other_shapes_are_no_plain_vit(self, other):
        self.test_other_names(shaped(self.MAE_SHAPES | other))

    @pytest.mark.parametrize('weights', [
        {'layer1.0.conv1.weight': torch.zeros(1)}, shaped({'blocks.0.attn.qkv.weight': (12, 4)})])
    def test_other_names(self, weights):
        with pytest.raises(ValueError, match=r'x.pth holds no encoder in a known format \(published MoE-MDF detector, '
                           '.*s5_mm, .*MAE / timm ViT, mmpretrain ViT, mmseg ViT'):
            find_adapter(weights, 'x.pth')


class TestLoading:

    @pytest.mark.parametrize(('prefix', 'key'), [('', 'model'), ('backbone.', 'state_dict'), ('a.backbone.', 'model'),
                                                 ('module.', 'teacher'), ('segmentor.backbone.', 'state_dict')])
    def test_prefix_is_found(self, tmp_path, source, target, prefix, key):
        load_weights(target, saved(tmp_path, source.state_dict(), prefix, key))
        assert equal(source, target)

    def test_bare_and_safetensors(self, tmp_path, source, target, tiny_vit):
        torch.save(source.state_dict(), tmp_path / 'x.pth')
        load_weights(target, tmp_path / 'x.pth')
        assert equal(source, target)
        other = build(tiny_vit, 2)
        save_file(source.state_dict(), tmp_path / 'x.safetensors')
        load_weights(other, str(tmp_path / 'x.safetensors'))
        assert equal(source, other)

    def test_mapping(self, source, target):
        load_weights(target, {'state_dict': source.state_dict(), 'meta': {}})
        assert equal(source, target)

    def test_whole_published_segmentor(self, tmp_path, golden, published_encoder):
        """The encoder inside ``*_s4p_upernet.pth`` and the encoder alone are the same."""
        encoders = [MODELS.build(dict(type='s5_mm.ViT', arch=golden.arch, img_size=golden.img_size)) for _ in range(2)]
        load_weights(encoders[0], saved(tmp_path, golden.weights, 'module.', 'model'))
        load_weights(encoders[1], published_encoder)
        assert equal(*encoders)

    def test_half_precision_file_leaves_the_model_in_fp32(self, tmp_path, source, target):
        load_weights(target, saved(tmp_path, {name: value.half() for name, value in source.state_dict().items()}))
        assert target.pos_embed.dtype == torch.float32
        assert torch.equal(target.pos_embed, source.pos_embed.half().float())

    def test_two_encoders_need_a_choice(self, tmp_path, source, target, tiny_vit):
        second = build(tiny_vit, 5)
        path = saved(tmp_path, {**{f'a.backbone.{n}': v for n, v in source.state_dict().items()},
                                **{f'b.backbone.{n}': v for n, v in second.state_dict().items()}})
        with pytest.raises(ValueError, match=r"2 encoders, at \['a.backbone.', 'b.backbone.'\]; choose one with p"):
            load_weights(target, path)
        load_weights(target, path, prefix='b.backbone.')
        assert equal(target, second)
        with pytest.raises(ValueError, match='x.pth holds no encoder in a known format'):
            load_weights(target, path, prefix='backbone.')

    def test_encoders_of_two_formats(self, source, target):
        weights = mae(source) | {f'b.{name}': value for name, value in source.state_dict().items()
                                 if not name.startswith('pyramid.')}
        with pytest.raises(ValueError, match=r"2 encoders, at \['', 'b.'\]"):
            load_weights(target, weights, encoder_only=True)

    def test_prefix_through_init_cfg(self, tmp_path, source, tiny_vit):
        path = saved(tmp_path, {**{f'a.{n}': v + 1 for n, v in source.state_dict().items()},
                                **{f'b.{n}': v for n, v in source.state_dict().items()}})
        vit = build(tiny_vit, 3, init_cfg=dict(type='s5_mm.LoadWeights', checkpoint=path, prefix='b.'))
        vit.init_weights()
        assert equal(vit, source)

    def test_experts_under_their_old_names(self, multi_segmentor):
        """As files had them before experts were a part of the layer."""
        model, other = (MODELS.build(multi_segmentor()) for _ in range(2))
        torch.nn.init.normal_(model.backbone.pos_embed)
        weights = {name.replace('.ffn.layers.1.experts.', '.ffn.experts.'): value
                   for name, value in model.state_dict().items()}
        assert any('.ffn.experts.' in name for name in weights)
        load_weights(other, weights)
        assert equal(model, other)


class TestParts:

    @pytest.fixture
    def state(self, tiny_segmentor):
        def make(updates):
            torch.manual_seed(7)
            model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor(), teacher={}))
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter)
            model.teacher.steps.fill_(updates)
            return model.state_dict()
        return make

    @pytest.mark.parametrize(('updates', 'part', 'root'), [
        (0, 'auto', 'segmentor.'), (3, 'auto', 'teacher.module.'), (3, 'student', 'segmentor.'),
        (3, 'teacher', 'teacher.module.')])
    @pytest.mark.parametrize('kind', ['encoder', 'segmentor'])
    def test_networks(self, state, tiny_vit, tiny_segmentor, updates, part, root, kind):
        weights = state(updates)
        model = MODELS.build(tiny_vit() if kind == 'encoder' else tiny_segmentor())
        load_weights(model, weights, part=part)
        prefix = f'{root}backbone.' if kind == 'encoder' else root
        assert all(torch.equal(value, weights[prefix + name]) for name, value in model.state_dict().items())

    def test_teacher_that_was_never_updated(self, state, tiny_vit):
        with pytest.raises(ValueError, match='holds no teacher that was updated'):
            load_weights(MODELS.build(tiny_vit()), state(0), part='teacher')
        with pytest.raises(ValueError, match="part is 'ema'; choose one of auto, teacher, student"):
            load_weights(MODELS.build(tiny_vit()), state(0), part='ema')

    @pytest.mark.parametrize('size', [32, 64])
    def test_semi_supervised_model_takes_its_own_file_wholly(self, state, tiny_segmentor, tiny_vit, size):
        """Student and teacher; at another size of images, the tables of both are resized."""
        weights = state(3)
        model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', teacher={},
                                  segmentor=tiny_segmentor(tiny_vit(img_size=size))))
        report = load_weights(model, weights)
        tables = {f'{root}backbone.pos_embed' for root in ('segmentor.', 'teacher.module.')}
        assert set(report.resized) == (tables if size == 64 else set())
        assert not report.initial
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items()
                   if name not in report.resized)

    def test_teacher_file_into_a_model_without_one(self, state, tiny_segmentor):
        """It evaluates its network, so that gets what the file evaluates."""
        weights = state(3)
        model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor()))
        load_weights(model, weights)
        name = 'backbone.layers.0.attn.qkv.weight'
        assert torch.equal(model.state_dict()[f'segmentor.{name}'], weights[f'teacher.module.{name}'])


class TestWholeModels:
    """What a test asks for."""

    def test_wrappers(self, multi_segmentor):
        model = MODELS.build(multi_segmentor())
        load_weights(model, {f'module.{name}': value for name, value in model.state_dict().items()})
        with pytest.raises(ValueError, match=r"no encoder in a known format .* its names begin with \['a'\]"):
            load_weights(model, {'a': torch.zeros(1)})

    def test_a_start_is_no_model(self, multi_segmentor, tiny_segmentor):
        """A dense segmentor brings almost everything, but no classifiers."""
        start, model = MODELS.build(tiny_segmentor()).state_dict(), MODELS.build(multi_segmentor())
        with pytest.raises(ValueError, match='lacks 4 tensors of the model, e.g. decode_heads.red.conv_seg.weight, .*; '
                           'an encoder alone is a start, not a model'):
            load_weights(model, start)
        report = load_weights(model, start, encoder_only=True)
        assert len(report.initial) == 4

    def test_a_classifier_of_other_classes_is_noise(self, multi_segmentor):
        """As a published file with nine classes of a dataset, tested with a config that has eight."""
        theirs = MODELS.build(multi_segmentor(datasets=dict(red=dict(num_classes=9), green=dict(num_classes=4))))
        model = MODELS.build(multi_segmentor())
        before = model.decode_heads['red'].conv_seg.weight.clone()
        with pytest.raises(ValueError, match=r'not fit the MultiDatasetSegmentor: 2 tensors have another shape, e.g. '
                           r'decode_heads.red.conv_seg.weight: \(9, 8, 1, 1\) in the file, \(3, 8, 1, 1\) here'):
            load_weights(model, theirs.state_dict())
        assert len(load_weights(model, theirs.state_dict(), encoder_only=True).unfit) == 2
        assert torch.equal(model.decode_heads['red'].conv_seg.weight, before)

    def test_start_without_pyramid_and_head(self, tiny_segmentor, tiny_vit):
        model, vit = MODELS.build(tiny_segmentor()), build(tiny_vit, 5)
        start = {name: value for name, value in vit.state_dict().items() if not name.startswith('pyramid.')}
        for prefix in ('backbone.', ''):
            report = load_weights(model, {prefix + name: value for name, value in start.items()}, encoder_only=True)
            assert {name.split('.')[1] for name in report.initial if name.startswith('backbone.')} == {'pyramid'}
        assert torch.equal(model.backbone.pos_embed, vit.pos_embed)
        with pytest.raises(ValueError, match='an encoder alone is a start'):
            load_weights(model, start)

    def test_names_of_datasets_in_other_cases(self, multi_segmentor):
        theirs = MODELS.build(multi_segmentor())
        weights = {name.replace('heads.red', 'heads.Red'): value for name, value in theirs.state_dict().items()}
        model = MODELS.build(multi_segmentor())
        load_weights(model, weights)
        assert equal(model, theirs)


def test_report_tells_what_was_split_and_resized(tmp_path, source, tiny_vit, monkeypatch):
    """A dense encoder of other images becomes one with experts: 4 blocks x (2 shared + 2 datasets x 2)."""
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', lambda text, *args: lines.append(text % args))
    moe = build(tiny_vit, 1, experts=dict(names=('red', 'green'), part_features=4), img_size=64)
    report = load_weights(moe, saved(tmp_path, source.state_dict()))
    rows = {row.split('|')[1].strip(): row.split('|')[2:4] for row in lines[-1].splitlines() if row.startswith('|')}
    # Of 16 channels 12 are shared and 4 each dataset's: 20 rows of 32 weights and a bias.
    assert [int(cell) for cell in rows['split into experts']] == [24, 4 * 20 * 33]
    assert [int(cell) for cell in rows['resized']] == [1, 64 * 16]
    assert report.resized == {'pos_embed': 64 * 16}
    total = sum(int(rows[what][0]) for what in ('loaded', 'resized', 'split into experts'))
    assert total == len(list(moe.parameters()))


def test_adapter_from_outside(source, target):
    """The one in docs/weights.md."""
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/weights.md').read_text(), re.DOTALL)
    exec(next(block for block in blocks if 'class TrunkViT' in block), {})  # noqa: S102  it is ours
    try:
        theirs = {name.replace('layers.', 'trunk.', 1) if name.startswith('layers.') else name: value
                  for name, value in source.state_dict().items()}
        assert load_weights(target, theirs | {'queue': torch.zeros(1)}).adapter == 'trunk ViT'
        assert equal(source, target)
    finally:
        ADAPTERS.module_dict.pop('TrunkViT')


def test_public_vit_h_of_patch_14(tmp_path):
    """Facebook's MAE ViT-H: 99.9 % of its parameters have the right shape. Two blocks of it, and no memory."""
    arch = dict(embed_dims=1280, num_layers=2, num_heads=16, feedforward_channels=8, out_indices=(0, 0, 1, 1))
    with torch.device('meta'):
        huge, fourteen = ViT(arch), ViT(arch, img_size=224, patch_size=14)
    weights = mae(fourteen) | {'pos_embed': torch.zeros(1, 257, 1280, device='meta')}
    path = saved(tmp_path, weights, key='model')
    assert read_checkpoint(path)['state_dict']['pos_embed'].is_meta
    with pytest.raises(ValueError, match='is a ViT-H of patch 14, as the public MAE ViT-H is; that of S5 has patch 16'):
        load_weights(huge, path, encoder_only=True)


class TestPrithvi:
    """A file for four frames, whose positions are sines of column, row and time."""

    @pytest.fixture
    def frames(self):
        """Weights for 16 px images of 6 bands and patches of 4 px, and the encoder that they are for."""
        encoder = MODELS.build(dict(
            type='s5_mm.ViT', img_size=16, patch_size=4, in_channels=6, class_token=True,
            position_table='align_corners', arch=dict(
                embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32, out_indices=(0, 1, 2, 3))))
        time = torch.arange(4.0).repeat_interleave(16)[:, None].expand(-1, 4)
        table = torch.cat([torch.zeros(1, 16), torch.cat([torch.randn(64, 12), time.cos()], dim=1)])[None]
        weights = {inverse_mae(name): torch.randn_like(value) for name, value in encoder.state_dict().items()
                   if not name.startswith('pyramid.')}
        weights |= {'pos_embed': table, 'patch_embed.proj.weight': torch.randn(16, 6, 1, 4, 4)}
        return encoder, {f'encoder.{name}': value for name, value in weights.items()} | {
            'decoder.weight': torch.zeros(2), 'encoder.norm.weight': torch.ones(16)}

    def test_first_frame(self, frames):
        encoder, file = frames
        load_weights(encoder, file, encoder_only=True)
        assert torch.equal(encoder.pos_embed, file['encoder.pos_embed'][:, :17])
        image = torch.randn(1, 6, 16, 16)
        patches = torch.nn.functional.conv3d(
            image[:, :, None], file['encoder.patch_embed.proj.weight'], file['encoder.patch_embed.proj.bias'],
            stride=(1, 4, 4))
        assert torch.allclose(encoder.patch_embed(image)[0], patches.flatten(2).transpose(1, 2), atol=1e-4)

    def test_patches_of_several_frames(self, frames):
        encoder, file = frames
        file['encoder.patch_embed.proj.weight'] = torch.zeros(16, 6, 2, 4, 4)
        with pytest.raises(ValueError, match='holds no encoder in a known format'):
            load_weights(encoder, file, encoder_only=True)


def inverse_mae(name):
    return rename(name, inverse(MAEViT.rows))

"""What encoders state, the table of encoders, and that all of them are plain tensor programs."""
import json
import math

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from running import ROOT, narrow

from s5_mm.models import ENCODERS, ViT
from s5_mm.models.backbones.asking import complete_head, complete_preprocessor
from s5_mm.registry import MODELS
from s5_mm.routing import Route

TINY = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32, out_indices=(0, 1, 2, 3))
SWIN = dict(type='s5_mm.HostEncoder', encoder=dict(
    type='mmseg.SwinTransformer', embed_dims=8, depths=(1, 2, 1, 1), num_heads=(1, 2, 2, 2), window_size=2))


@pytest.mark.parametrize('name', list(ENCODERS))
def test_every_encoder_of_the_table(name):
    """What it states is what it does, with experts if it has linear layers for them."""
    entry = ENCODERS[name]
    common = dict(img_size=128, drop_path_rate=0.1, with_cp=False) | narrow(entry.cfg)
    patches = 2 if entry.cfg['type'] in ('s5_mm.HostEncoder', 's5_mm.InternImage') else 8
    with torch.no_grad():
        encoder = MODELS.build(dict(type='s5_mm.NamedEncoder', name=name, **common))
        maps = encoder(torch.zeros(2, encoder.in_channels, 2 * patches * encoder.divisor, patches * encoder.divisor))
    assert tuple(level.shape[1] for level in maps) == encoder.out_channels
    sizes = [tuple(level.shape[2:]) for level in maps]
    assert all(a == (2 * h, 2 * w) for a, (h, w) in zip(sizes, sizes[1:], strict=False))
    assert len(encoder.mean) == len(encoder.std) == encoder.in_channels
    depths = {encoder.get_layer_depth(f'net.{name}', 'net.') for name, _ in encoder.named_parameters()}
    last, number = encoder.get_layer_depth('head.weight', 'net.')
    assert {n for _, n in depths} == {number}
    assert last == number - 1
    assert max(depth for depth, _ in depths) >= number - 2
    if encoder.second_linears():
        share = dict(type='s5_mm.NamedEncoder', name=name, experts=dict(names=('a', 'b'), share=1 / 4), **common)
        with torch.no_grad():
            encoder = MODELS.build(share)
            side = patches * encoder.divisor
            maps = encoder(torch.zeros(2, encoder.in_channels, side, side), Route(('b', 'a'), (1, 1), None))
        assert tuple(level.shape[1] for level in maps) == encoder.out_channels


def test_every_entry_says_where_weights_are_and_under_which_license():
    assert all(entry.paper and entry.code and entry.license and entry.weights for entry in ENCODERS.values())
    with pytest.raises(ValueError, match=r"name is 'vit-x'; choose from \['vit-t', 'vit-b'"):
        MODELS.build(dict(type='s5_mm.NamedEncoder', name='vit-x'))


class TestAsking:

    @pytest.mark.parametrize('name', ['vit-t', 'swin-t', 'mit-b0', 'resnet50'])
    @pytest.mark.parametrize('path', [
        's4p/supervised_vit-b-mae_upernet_8xb12-120k_isaid-512x512.py',
        's4p/fixmatch_vit-b-mae_upernet_8xb12-120k_isaid-rs4p1m-512x512.py',
        'mdf_seg/mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py',
        'mdf_det/mdf_vit-b-s4p_oriented-rcnn_4xb4-12e_dior-dota2-1024x1024.py'])
    def test_one_line_changes_the_encoder_of_any_config(self, name, path):
        cfg = Config.fromfile(ROOT / 'configs' / path)
        root = 'model.segmentor' if 'fixmatch' in path else 'model'
        cfg.merge_from_dict({f'{root}.backbone.name': name})
        init_default_scope(cfg.default_scope)
        model = MODELS.build(cfg.model)
        network = getattr(model, 'segmentor', model)
        encoder = network.backbone
        heads = [network.decode_head] if hasattr(network, 'decode_head') else [
            *getattr(network, 'decode_heads', {}).values(), *(one.neck for one in getattr(
                network, 'detectors', {}).values())]
        assert all(tuple(head.in_channels) == encoder.out_channels for head in heads)
        assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx(list(encoder.mean))

    def test_a_config_may_say_it_itself(self):
        encoder = ViT(TINY, img_size=32, patch_size=8, in_channels=4)
        assert complete_head(dict(in_channels=7), encoder) == dict(in_channels=7)
        assert complete_head(dict(in_index=2), encoder)['in_channels'] == 16
        assert complete_head(dict(in_index=[0, 3]), encoder)['in_channels'] == [16, 16]
        own = dict(type='SegDataPreProcessor', mean=[1], std=[2], test_cfg=dict(size=(8, 8)))
        assert complete_preprocessor(own, encoder) == own
        assert complete_preprocessor(dict(type='SegDataPreProcessor'), encoder)['test_cfg'] == dict(size_divisor=8)
        assert complete_preprocessor(dict(type='DetDataPreprocessor'), encoder)['std'] == [58.395, 57.12, 57.375]

    def test_values_of_a_sensor_are_those_that_became_8_bits(self):
        encoder = ViT(TINY, img_size=32, patch_size=8, in_channels=2, mean=(1000, 3000), std=(500, 100))
        cfg = dict(type='SegDataPreProcessor')
        found = complete_preprocessor(cfg | dict(value_range=(0, 5000)), encoder)
        assert (found['mean'], found['std']) == ([51, 153], pytest.approx([25.5, 5.1]))
        assert 'value_range' not in found
        found = complete_preprocessor(cfg | dict(value_range=((500, 1500), (2000, 4000))), encoder)
        assert (found['mean'], found['std']) == ([127.5, 127.5], pytest.approx([127.5, 12.75]))
        with pytest.raises(ValueError, match=r'1000.*3000.*data_preprocessor.value_range'):
            complete_preprocessor(cfg, encoder)

    def test_backbones_that_state_nothing(self):
        plain = MODELS.build(dict(type='mmseg.ResNet', depth=18, base_channels=4, stem_channels=4))
        assert complete_head(dict(channels=8), plain) == dict(channels=8)
        assert complete_preprocessor(dict(type='SegDataPreProcessor'), plain) == dict(type='SegDataPreProcessor')


class TestPlainTensors:
    """Compiled as one graph, without a break; under the eager backend, which needs no compiler."""

    @pytest.fixture(autouse=True)
    def _fresh(self):
        torch._dynamo.reset()

    @pytest.mark.parametrize('options', [
        {}, dict(with_cp=True), dict(with_cp='selective'),
        dict(experts=dict(names=('a', 'b'), part_features=4), with_cp=True)],
        ids=['plain', 'cp', 'selective', 'experts'])
    def test_encoders_compile_whole(self, options):
        torch.manual_seed(0)
        vit = ViT(TINY, img_size=32, patch_size=8, drop_path_rate=0.5, **options)
        route = Route(('a', 'b'), (1, 1), None) if 'experts' in options else None
        compiled = torch.compile(vit, fullgraph=True, backend='eager')
        images = torch.randn(2, 3, 32, 32)
        for mode in (False, True):
            vit.train(mode)
            torch.manual_seed(1)
            maps = compiled(images, route)
            torch.manual_seed(1)
            expected = vit(images, route)
            assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(maps, expected, strict=True))
        sum(level.square().sum() for level in maps).backward()
        assert all(parameter.grad is not None for parameter in vit.parameters())

    def test_heads_compile_whole(self):
        torch.manual_seed(0)
        head = MODELS.build(dict(
            type='s5_mm.S5UPerHead', in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=3,
            norm_cfg=dict(type='BN'))).eval()
        maps = [torch.randn(2, 8, side, side) for side in (16, 8, 4, 2)]
        logits = torch.compile(head, fullgraph=True, backend='eager')(maps)
        assert torch.allclose(logits, head(maps), atol=1e-6)

    def test_maps_are_tensors_of_their_own(self):
        vit = ViT(TINY, img_size=32, patch_size=8)
        for level in vit(torch.randn(2, 3, 32, 32)):
            assert type(level) is torch.Tensor
            assert level.is_contiguous()
            assert torch.equal((level * 2)[:, :, ::2], 2 * level[:, :, ::2])


class TestViTOptions:

    def test_bands(self):
        vit = ViT(TINY, img_size=32, patch_size=8, in_channels=5)
        assert vit(torch.randn(1, 5, 32, 32))[2].shape == (1, 16, 4, 4)

    @pytest.mark.parametrize(('stages', 'blocks'), [(-1, 0), (0, 0), (3, 3), (4, 4)])
    def test_frozen_stages(self, stages, blocks):
        vit = ViT(TINY, img_size=32, patch_size=8, frozen_stages=stages).train()
        frozen = {name for name, parameter in vit.named_parameters() if not parameter.requires_grad}
        assert ('pos_embed' in frozen) == ('patch_embed.projection.weight' in frozen) == (stages >= 0)
        assert {int(name.split('.')[1]) for name in frozen if name.startswith('layers.')} == set(range(blocks))
        assert [layer.training for layer in vit.layers] == [i >= blocks for i in range(4)]
        assert not any(name.startswith('pyramid.') for name in frozen)
        with pytest.raises(ValueError, match=r'frozen_stages is 5; give -1 \(nothing\) to 4'):
            ViT(TINY, frozen_stages=5)

    def test_class_token_layer_scale_and_no_bias(self):
        vit = ViT(TINY, img_size=32, patch_size=8, class_token=True, layer_scale=0.1, qkv_bias=False)
        names = dict(vit.named_parameters())
        assert vit.pos_embed.shape == (1, 17, 16)
        assert names['layers.0.attn.gamma1.weight'].tolist() == pytest.approx([0.1] * 16)
        assert names['layers.3.ffn.gamma2.weight'].shape == (16, )
        assert 'layers.0.attn.qkv.bias' not in names
        maps = vit(torch.randn(1, 3, 48, 32))
        assert [tuple(level.shape[2:]) for level in maps] == [(24, 16), (12, 8), (6, 4), (3, 2)]

    def test_attention_is_injected(self):
        """A windowed attention would need the grid of the patches: it gets it."""
        grids = []

        @MODELS.register_module(force=True)
        class Remembering(torch.nn.Module):

            def __init__(self, embed_dims, **settings):
                super().__init__()

            def forward(self, x, grid):
                grids.append((x.shape[1], grid))
                return x
        ViT(TINY, img_size=32, patch_size=8, attention=dict(type='s5_mm.Remembering'))(torch.randn(1, 3, 32, 48))
        assert grids == [(24, (4, 6))] * 4

    def test_config_is_plain_data(self):
        cfg = Config.fromfile(ROOT / 'configs/_base_/models/upernet_vit-b.py').model.backbone.to_dict()
        assert json.loads(json.dumps(cfg)) == cfg


class TestHosts:

    def test_parameters_keep_their_names(self):
        ours, plain = MODELS.build(SWIN), MODELS.build(SWIN['encoder'])
        assert list(dict(ours.named_parameters())) == list(dict(plain.named_parameters()))
        plain.load_state_dict(ours.state_dict())
        images = torch.randn(1, 3, 64, 64)
        ours.eval(), plain.eval()
        assert all(torch.equal(a, b) for a, b in zip(ours(images), plain(images), strict=True))

    def test_layer_decay(self, tiny_segmentor):
        """Five blocks; stage 1 has two. What is between blocks is as deep as the block before it."""
        cfg = tiny_segmentor(SWIN, type='s5_mm.S5EncoderDecoder')
        del cfg['decode_head']['in_channels']
        wrapper = build_optim_wrapper(MODELS.build(cfg), ConfigDict(
            type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.5)))
        rates = {group['param_name']: group['lr'] for group in wrapper.optimizer.param_groups}
        depth = {name.removeprefix('backbone.'): -math.log2(rate) for name, rate in rates.items()}
        assert depth['patch_embed.projection.weight'] == 6
        assert depth['stages.0.blocks.0.norm1.weight'] == depth['stages.0.downsample.norm.weight'] == 5
        assert depth['stages.1.blocks.0.norm1.weight'] == 4
        assert depth['stages.1.blocks.1.norm1.weight'] == 3
        assert depth['stages.3.blocks.0.norm1.weight'] == depth['norm3.weight'] == 1
        assert depth['decode_head.conv_seg.weight'] == 0

    def test_image_size(self):
        with pytest.raises(ValueError, match='SwinTransformer: images of 64x48 px .* multiples of 32; set the crop'):
            MODELS.build(SWIN)(torch.zeros(1, 3, 48, 64))

    def test_what_is_no_backbone(self):
        with pytest.raises(ValueError, match="encoder.type 'mmseg.Swin' is no backbone of MMEngine's registries"):
            MODELS.build(dict(type='s5_mm.HostEncoder', encoder=dict(type='mmseg.Swin')))

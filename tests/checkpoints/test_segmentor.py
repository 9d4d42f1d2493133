"""Published and other segmentors in ours: golden values from published-layout files, and refusals."""
import copy

import pytest
import torch
from mmengine.runner import load_checkpoint
from mmseg.structures import SegDataSample

from s5_mm.engine.hooks.checkpoint_fit_hook import check_fit
from s5_mm.registry import MODELS


@pytest.fixture
def s4p_config(golden):
    """The published S4P segmentor, 16 classes."""
    width = golden.arch['embed_dims']
    return dict(
        type='s5_mm.S5EncoderDecoder',
        backbone=dict(type='s5_mm.ViT', arch=golden.arch, img_size=golden.img_size),
        decode_head=dict(type='s5_mm.S5UPerHead', in_channels=[width] * 4, in_index=[0, 1, 2, 3], channels=256,
                         num_classes=16, norm_cfg=dict(type='BN')),
        test_cfg=dict(mode='whole'))


@pytest.fixture
def s4p_file(golden, tmp_path):
    """In the layout of ``*_s4p_upernet.pth``."""
    def write(wrapper='module.', dtype=torch.float32):
        weights = {wrapper + name: value.to(dtype) if value.is_floating_point() else value
                   for name, value in golden.weights.items()}
        torch.save({'model': weights, 'epoch': 3}, tmp_path / 's4p_upernet.pth')
        return str(tmp_path / 's4p_upernet.pth')
    return write


def logits(model, golden):
    model.eval()
    meta = dict(img_shape=(64, 64), pad_shape=(64, 64), ori_shape=(64, 64))
    samples = [SegDataSample(metainfo=meta) for _ in golden.images]
    with torch.no_grad():
        model.predict(golden.images, samples)
    return torch.stack([sample.seg_logits.data for sample in samples])[:, :, ::4, ::4]


class TestPublishedS4P:

    @pytest.mark.parametrize('wrapper', ['', 'module.'])
    def test_golden_logits(self, s4p_config, s4p_file, golden, wrapper):
        model = MODELS.build(s4p_config)
        loaded = load_checkpoint(model, s4p_file(wrapper))
        check_fit(model, loaded, min_share=1.0)
        assert (logits(model, golden) - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 1e-4

    def test_golden_logits_through_init_cfg(self, s4p_config, s4p_file, golden):
        model = MODELS.build(s4p_config | dict(init_cfg=dict(type='Pretrained', checkpoint=s4p_file())))
        model.init_weights()
        assert (logits(model, golden) - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 1e-4

    def test_half_precision_file(self, s4p_config, s4p_file, golden):
        model = MODELS.build(s4p_config)
        load_checkpoint(model, s4p_file(dtype=torch.float16))
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert (logits(model, golden) - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 0.02

    @pytest.mark.parametrize('teacher', [None, {}])
    def test_pre_training_goes_on_from_it(self, s4p_config, s4p_file, golden, teacher):
        model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=s4p_config, teacher=teacher))
        loaded = load_checkpoint(model, s4p_file())
        check_fit(model, loaded, min_share=1.0, encoder_only=True)
        assert (logits(model.segmentor, golden) - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 1e-4

    def test_encoder_alone_is_a_start(self, s4p_config, published_encoder, golden):
        model = MODELS.build(s4p_config)
        before = model.decode_head.conv_seg.weight.clone()
        loaded = load_checkpoint(model, published_encoder)
        assert torch.equal(model.backbone.pos_embed, golden.weights['encoder.pos_embed'])
        assert torch.equal(model.decode_head.conv_seg.weight, before)
        check_fit(model, loaded, encoder_only=True)
        with pytest.raises(ValueError, match="decode_head.conv_seg.weight, .* are missing"):
            check_fit(model, loaded, min_share=0.1)


class TestRefusal:

    def test_model_of_several_data_sets(self, s4p_config, golden_mdf):
        with pytest.raises(ValueError, match=r"datasets \['vaihingen',.*model has one decoder; .*merge_experts.py"):
            MODELS.build(s4p_config).load_state_dict(copy.copy(golden_mdf.weights), strict=False)

    @pytest.mark.parametrize('kind', ['single', 'fixmatch', 'several'])
    def test_unknown_names(self, s4p_config, multi_segmentor, kind):
        """MMEngine would log them and go on with noise."""
        model = MODELS.build(dict(single=s4p_config, several=multi_segmentor(),
                                  fixmatch=dict(type='s5_mm.FixMatchSegmentor', segmentor=s4p_config))[kind])
        with pytest.raises(ValueError, match=r"has no name in common with the \w+ and holds no plain ViT encoder in a "
                           r"known format \(s5_mm, .*; its names begin with \['a.weight', 'b.weight'\]"):
            model.load_state_dict({'b.weight': torch.ones(1), 'a.weight': torch.ones(1)}, strict=False)

    def test_parts_of_its_own_are_taken(self, s4p_config):
        model = MODELS.build(s4p_config)
        model.load_state_dict({'decode_head.conv_seg.bias': torch.full((16, ), 7.0)}, strict=False)
        assert model.decode_head.conv_seg.bias.eq(7).all()

    def test_other_width(self, s4p_config, golden):
        s4p_config['backbone'] = dict(type='s5_mm.ViT', arch=golden.arch | dict(embed_dims=24), img_size=64)
        s4p_config['decode_head']['in_channels'] = [24] * 4
        with pytest.raises(ValueError, match=r'published S5 format\) fits .* The file is 48 wide, this encoder 24'):
            MODELS.build(s4p_config).load_state_dict(copy.copy(golden.weights), strict=False)

    def test_layer_scale(self, s4p_config, golden):
        with pytest.raises(ValueError, match='blocks have 1 parameters .* e.g. layers.0.attn.gamma1.weight'):
            MODELS.build(s4p_config).load_state_dict(
                golden.weights | {'encoder.layers.0.attn.gamma1.weight': torch.ones(48)}, strict=False)

"""Published and other segmentors in ours: golden values from published-layout files, and refusals."""
import pytest
import torch
from mmseg.structures import SegDataSample

from s5_mm.checkpoints import load_weights, replace_pretrained
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
        load_weights(model, s4p_file(wrapper))
        assert (logits(model, golden) - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 1e-4

    def test_golden_logits_through_init_cfg(self, s4p_config, s4p_file, golden):
        model = MODELS.build(s4p_config | dict(init_cfg=dict(type='Pretrained', checkpoint=s4p_file())))
        replace_pretrained(model)
        model.init_weights()
        assert (logits(model, golden) - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 1e-4

    def test_half_precision_file(self, s4p_config, s4p_file, golden):
        model = MODELS.build(s4p_config)
        load_weights(model, s4p_file(dtype=torch.float16))
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert (logits(model, golden) - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 0.02

    @pytest.mark.parametrize('teacher', [None, {}])
    def test_pre_training_goes_on_from_it(self, s4p_config, s4p_file, golden, teacher):
        model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=s4p_config, teacher=teacher))
        load_weights(model, s4p_file(), encoder_only=True)
        assert (logits(model.segmentor, golden) - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 1e-4

    def test_encoder_alone_is_a_start(self, s4p_config, published_encoder, golden):
        model = MODELS.build(s4p_config)
        before = model.decode_head.conv_seg.weight.clone()
        load_weights(model, published_encoder, encoder_only=True)
        assert torch.equal(model.backbone.pos_embed, golden.weights['encoder.pos_embed'])
        assert torch.equal(model.decode_head.conv_seg.weight, before)
        with pytest.raises(ValueError, match='e.g. decode_head.conv_seg.weight, decode_head.conv_seg.bias; an encoder '
                           'alone is a start, not a model'):
            load_weights(model, published_encoder)


class TestRefusal:

    def test_model_of_several_data_sets(self, s4p_config, golden_mdf):
        with pytest.raises(ValueError, match=r"datasets \['vaihingen',.*model has one decoder; .*merge_experts.py"):
            load_weights(MODELS.build(s4p_config), golden_mdf.weights, encoder_only=True)

    @pytest.mark.parametrize('kind', ['single', 'fixmatch', 'several'])
    def test_unknown_names(self, s4p_config, multi_segmentor, kind):
        """MMEngine would log them and go on with noise."""
        model = MODELS.build(dict(single=s4p_config, several=multi_segmentor(),
                                  fixmatch=dict(type='s5_mm.FixMatchSegmentor', segmentor=s4p_config))[kind])
        with pytest.raises(ValueError, match=r"The state dict holds no encoder in a known format \(.*s5_mm, .*\) and "
                           r"none under the names of the model: its names begin with \['a.weight', 'b.weight'\]"):
            load_weights(model, {'b.weight': torch.ones(1), 'a.weight': torch.ones(1)}, encoder_only=True)

    def test_other_width(self, s4p_config, golden):
        s4p_config['backbone'] = dict(type='s5_mm.ViT', arch=golden.arch | dict(embed_dims=24), img_size=64)
        s4p_config['decode_head']['in_channels'] = [24] * 4
        with pytest.raises(ValueError, match=r'published S4P segmentor .* The file is 48 wide, this encoder 24'):
            load_weights(MODELS.build(s4p_config), golden.weights)

    def test_layer_scale(self, s4p_config, golden):
        with pytest.raises(ValueError, match='has 1 names .* e.g. layers.0.attn.gamma1.weight. They mean layer scale'):
            load_weights(MODELS.build(s4p_config),
                         golden.weights | {'encoder.layers.0.attn.gamma1.weight': torch.ones(48)})

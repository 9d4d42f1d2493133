"""Every kind of encoder trains a step in S4P, MoE-MDF segmentation and detection, and predicts, by the base configs.

Images have 120 px: neither 14 nor 16 divides them.
"""
import pytest
import tiny_detectors
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from running import ROOT, narrow

from s5_mm.models import ENCODERS
from s5_mm.registry import MODELS

MODELS_OF_CONFIGS = ROOT / 'configs' / '_base_' / 'models'
SIDE = 120
KINDS = ['ma3e-b', 'scalemae-l', 'dinov2-b', 'dinov2-g-reg', 'dinov3-7b', 'rvsa-b-diamond', 'mtp-l', 'samrs-b', 'gfm-b',
         'internimage-xl']
MORE_BANDS = [('prithvi-eo2-l', 6), ('satmaepp-l-sentinel', 10)]


def sample(source, seed):
    """A data sample with random classes, or of an image without labels and padding."""
    meta = dict(img_shape=(SIDE, SIDE), pad_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE), dataset_name=source)
    rng = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 1 if source == 'unlabeled' else 3, (1, SIDE, SIDE), generator=rng)
    made = SegDataSample(metainfo=meta)
    made.gt_sem_seg = PixelData(data=classes)
    return made


def step(model, samples):
    """Train one step; every parameter gets a gradient."""
    rng = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 255, (3, SIDE, SIDE), generator=rng, dtype=torch.uint8) for _ in samples]
    data = model.train().data_preprocessor(dict(inputs=images, data_samples=samples), True)
    loss = model.parse_losses(model(**data, mode='loss'))[0]
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def predicted_size(model, source):
    """Height and width of what a model predicts for an image of 100 x 120 px."""
    made = SegDataSample(metainfo=dict(img_shape=(100, SIDE), ori_shape=(100, SIDE), dataset_name=source))
    data = model.eval().data_preprocessor(
        dict(inputs=[torch.zeros(3, 100, SIDE, dtype=torch.uint8)], data_samples=[made]), False)
    with torch.no_grad():
        return tuple(model(**data, mode='predict')[0].pred_sem_seg.data.shape[1:])


def encoder_of(name):
    return dict(name=name, img_size=SIDE, with_cp=True) | narrow(ENCODERS[name].cfg)


@pytest.mark.parametrize('name', KINDS)
def test_s4p(name):
    cfg = Config.fromfile(MODELS_OF_CONFIGS / 'fixmatch_upernet_vit-b.py').model
    cfg.data_preprocessor.size = (SIDE, SIDE)
    cfg.segmentor.backbone.update(encoder_of(name), init_cfg=None)
    cfg.segmentor.decode_head.update(channels=8, norm_cfg=dict(type='BN'), num_classes=3)
    model = MODELS.build(cfg)
    step(model, [sample(source, i) for i, source in enumerate(('labeled', 'labeled', 'unlabeled', 'unlabeled'))])
    assert predicted_size(model, 'labeled') == (100, SIDE)


@pytest.mark.parametrize('name', KINDS)
def test_moe_mdf_segmentation(name):
    """Windows of 98 x 118 px are no multiple of a patch either."""
    cfg = Config.fromfile(MODELS_OF_CONFIGS / 'mdf_upernet_vit-moe-b.py').model
    cfg.data_preprocessor.size = (SIDE, SIDE)
    cfg.backbone.update(encoder_of(name))
    cfg.decode_head.update(channels=8, norm_cfg=dict(type='BN'))
    slide = dict(mode='slide', crop_size=(98, 118), stride=(98, 60))
    cfg.update(experts=dict(share=1 / 4, part_features=None), init_cfg=None)
    cfg.datasets = dict(red=dict(num_classes=3, test_cfg=slide), green=dict(num_classes=4))
    model = MODELS.build(cfg)
    step(model, [sample(source, i) for i, source in enumerate(('red', 'green', 'green', 'red'))])
    assert len(model.backbone.second_linears()) >= 4
    assert predicted_size(model, 'red') == predicted_size(model, 'green') == (100, SIDE)


@pytest.mark.parametrize('name', KINDS)
def test_moe_mdf_detection(name):
    init_default_scope('mmrotate')
    cfg = tiny_detectors.detector(experts=dict(share=1 / 4), backbone=dict(
        type='s5_mm.NamedEncoder', **encoder_of(name)))
    model = MODELS.build(ConfigDict(cfg))
    step(model, [tiny_detectors.sample(source, i, side=SIDE) for i, source in enumerate(('red', 'green'))])
    detector = model.detectors['red']
    strides = [stride[0] for stride in detector.rpn_head.prior_generator.strides]
    assert strides == [*model.backbone.map_strides, 2 * model.backbone.map_strides[-1]]
    assert [1 / layer.spatial_scale for layer in detector.roi_head.bbox_roi_extractor.roi_layers] == strides[:4]


def step_with_bands(model, bands, samples):
    """A finite loss, and each band normalized by its own mean and deviation, in the order of the file."""
    images = [torch.randint(0, 255, (bands, SIDE, SIDE), dtype=torch.uint8) for _ in samples]
    data = model.train().data_preprocessor(dict(inputs=images, data_samples=samples), True)
    encoder = getattr(model, 'segmentor', model).backbone
    mean, std = (torch.tensor(values)[:, None, None] for values in (encoder.mean, encoder.std))
    assert torch.allclose(data['inputs'][0][:, :SIDE, :SIDE], (images[0] / 255 * 10000 - mean) / std, atol=1e-4)
    loss = model.parse_losses(model(**data, mode='loss'))[0]
    loss.backward()
    assert loss.isfinite()


@pytest.mark.parametrize(('name', 'bands'), MORE_BANDS)
def test_more_bands_in_segmentation(name, bands):
    cfg = Config.fromfile(MODELS_OF_CONFIGS / 'mdf_upernet_vit-moe-b.py').model
    cfg.data_preprocessor.size = (SIDE, SIDE)
    cfg.backbone.update(encoder_of(name))
    cfg.decode_head.update(channels=8, norm_cfg=dict(type='BN'))
    cfg.update(experts=dict(share=1 / 4, part_features=None), init_cfg=None)
    cfg.datasets = dict(red=dict(num_classes=3), green=dict(num_classes=4))
    cfg.data_preprocessor.value_range = (0, 10000)
    step_with_bands(MODELS.build(cfg), bands, [
        sample(source, i) for i, source in enumerate(('red', 'green', 'green', 'red'))])


@pytest.mark.parametrize(('name', 'bands'), MORE_BANDS)
def test_more_bands_in_s4p(name, bands):
    """Both list blue, green and red first."""
    cfg = Config.fromfile(MODELS_OF_CONFIGS / 'fixmatch_upernet_vit-b.py').model
    cfg.data_preprocessor.update(size=(SIDE, SIDE), value_range=(0, 10000))
    cfg.segmentor.backbone.update(encoder_of(name), init_cfg=None)
    cfg.segmentor.decode_head.update(channels=8, norm_cfg=dict(type='BN'), num_classes=3)
    cfg.strong_view.rgb = (2, 1, 0)
    step_with_bands(MODELS.build(cfg), bands, [
        sample(source, i) for i, source in enumerate(('labeled', 'labeled', 'unlabeled', 'unlabeled'))])


@pytest.mark.parametrize(('name', 'bands'), MORE_BANDS)
def test_more_bands_in_detection(name, bands):
    init_default_scope('mmrotate')
    cfg = tiny_detectors.detector(experts=dict(share=1 / 4), backbone=dict(
        type='s5_mm.NamedEncoder', **encoder_of(name)))
    cfg['data_preprocessor']['value_range'] = (0, 10000)
    step_with_bands(MODELS.build(ConfigDict(cfg)), bands, [
        tiny_detectors.sample(source, i, side=SIDE) for i, source in enumerate(('red', 'green'))])

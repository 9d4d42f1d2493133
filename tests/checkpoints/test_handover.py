"""What one stage hands over to the next, for backbones of the hosts."""
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from tiny_detectors import detector

from s5_mm.checkpoints import load_weights, read_checkpoint
from s5_mm.checkpoints.publish import publish_encoder
from s5_mm.engine import S5Runner
from s5_mm.registry import MODELS

HOSTS = {
    'swin': dict(type='mmseg.SwinTransformer', embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2),
                 window_size=4),
    'segformer': dict(type='mmseg.MixVisionTransformer', embed_dims=8, num_layers=(1, 1, 1, 1), num_heads=(1, 1, 2, 2),
                      patch_sizes=(7, 3, 3, 3), sr_ratios=(8, 4, 2, 1), out_indices=(0, 1, 2, 3)),
    'resnet': dict(type='mmseg.ResNet', depth=18, base_channels=8),
}
CHANNELS = dict(swin=[8, 16, 32, 64], segformer=[8, 8, 16, 16], resnet=[8, 16, 32, 64])


def built(cfg, seed):
    torch.manual_seed(seed)
    model = MODELS.build(ConfigDict(cfg))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return model


def equal(a, b):
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


@pytest.fixture(params=HOSTS)
def host(request):
    return request.param


@pytest.fixture
def segmentor(host, tiny_segmentor):
    cfg = tiny_segmentor(dict(HOSTS[host]))
    cfg['decode_head']['in_channels'] = CHANNELS[host]
    return cfg


@pytest.fixture
def s4p(segmentor, tmp_path):
    """A checkpoint of pre-training, and the network that it evaluates."""
    model = built(dict(type='s5_mm.FixMatchSegmentor', segmentor=segmentor, teacher={}), 0)
    model.teacher.steps.fill_(9)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(iter=9)), tmp_path / 'iter_9.pth')
    return str(tmp_path / 'iter_9.pth'), model.teacher.module


def test_test_config(s4p, segmentor):
    path, evaluated = s4p
    model = built(segmentor, 1)
    load_weights(model, path)
    assert equal(model, evaluated)


def test_next_segmentor(s4p, segmentor):
    """Of other classes."""
    path, evaluated = s4p
    segmentor['decode_head']['num_classes'] = 5
    model = built(segmentor, 1)
    before = model.decode_head.conv_seg.weight.clone()
    assert len(load_weights(model, path, encoder_only=True).unfit) == 2
    assert equal(model.backbone, evaluated.backbone)
    assert torch.equal(model.decode_head.bottleneck.conv.weight, evaluated.decode_head.bottleneck.conv.weight)
    assert torch.equal(model.decode_head.conv_seg.weight, before)


def test_several_datasets(s4p, segmentor):
    path, evaluated = s4p
    model = built(dict(type='s5_mm.MultiDatasetSegmentor', backbone=segmentor['backbone'],
                       decode_head=segmentor['decode_head'], datasets=dict(red=dict(num_classes=3))), 1)
    load_weights(model, path, encoder_only=True)
    assert equal(model.backbone, evaluated.backbone)
    head = model.decode_heads['red']
    assert torch.equal(head.bottleneck.conv.weight, evaluated.decode_head.bottleneck.conv.weight)
    load_weights(built(dict(type='s5_mm.MultiDatasetSegmentor', backbone=segmentor['backbone'],
                            decode_head=segmentor['decode_head'], datasets=dict(red=dict(num_classes=3))), 2),
                 model.state_dict())


def test_published_encoder(s4p, host, tmp_path):
    """Under its own names, which its own project reads, too."""
    path, evaluated = s4p
    out = str(tmp_path / 'encoder.safetensors')
    publish_encoder(path, out)
    assert read_checkpoint(out)['state_dict'].keys() == evaluated.backbone.state_dict().keys()
    model = built(HOSTS[host], 1)
    load_weights(model, out)
    assert equal(model, evaluated.backbone)


@pytest.mark.parametrize('way', ['checkpoint', 'encoder'])
def test_detector(s4p, host, tmp_path, way):
    path, evaluated = s4p
    if way == 'encoder':
        publish_encoder(path, str(tmp_path / 'encoder.pth'))
        path = str(tmp_path / 'encoder.pth')
    init_default_scope('mmrotate')
    cfg = detector(backbone=dict(HOSTS[host]), experts=None)
    cfg['neck']['in_channels'] = CHANNELS[host]
    model = built(cfg, 1)
    before = model.detectors['red'].neck.fpn_convs[0].conv.weight.clone()
    load_weights(model, path, encoder_only=True)
    assert equal(model.backbone, evaluated.backbone)
    assert torch.equal(model.detectors['red'].neck.fpn_convs[0].conv.weight, before)


def test_pretrained_of_a_host(s4p, segmentor, tmp_path):
    """The runner's way, whatever the backbone itself would do with the file."""
    path, evaluated = s4p
    segmentor['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=path)
    runner = S5Runner(model=ConfigDict(segmentor), default_scope='mmseg', work_dir=str(tmp_path / 'run'),
                      experiment_name=tmp_path.name)
    runner.model.init_weights()
    assert equal(runner.model.backbone, evaluated.backbone)

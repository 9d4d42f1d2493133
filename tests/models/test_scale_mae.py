"""Where the ground sample distance of an image comes from."""
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from tiny_detectors import detector
from tiny_detectors import sample as detection_sample

from s5_mm.models.backbones import ScaleMAE
from s5_mm.registry import MODELS, TRANSFORMS
from s5_mm.routing import Route

TINY = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32, out_indices=(0, 1, 2, 3))
CFG = dict(arch=TINY, img_size=32, patch_size=8, class_token=True)


@pytest.fixture
def told(monkeypatch):
    """The ground sample distances of every forward pass."""
    seen = []
    plain = ScaleMAE.positions

    def noted(self, grid, gsd, device):
        seen.append(gsd)
        return plain(self, grid, gsd, device)
    monkeypatch.setattr(ScaleMAE, 'positions', noted)
    return seen


@pytest.mark.parametrize('experts', [None, dict(names=('a', 'b'), share=1 / 4)])
@torch.no_grad()
def test_each_image_has_its_own(experts):
    """As if each was encoded alone by an encoder of its resolution; the batch is not grouped."""
    torch.manual_seed(0)
    encoder = ScaleMAE(**CFG, gsd=5.0, experts=experts).eval()
    images = torch.randn(3, 3, 32, 32)
    route = Route(('a', 'b'), (2, 1), (0, 2, 1), gsd=(0.3, 10.0, 0.5))
    together = encoder(images, route)[2]
    for i, (dataset, gsd) in enumerate((('a', 0.3), ('b', 10.0), ('a', 0.5))):
        encoder.gsd = gsd
        alone = encoder(images[i:i + 1], Route((dataset, ), (1, ), None))[2]
        assert torch.allclose(together[i:i + 1], alone, atol=1e-5)
    encoder.gsd = 5.0
    assert not torch.allclose(together[:1], encoder(images[:1], Route(('a', ), (1, ), None))[2], atol=1e-3)


def test_resizing_changes_it(make_sample):
    """An image of 0.4 m a pixel that was made half as wide and high, and one that was not."""
    samples = [make_sample(name, None) for name in ('b', 'a', 'b')]
    for sample, meta in zip(samples, (dict(gsd=0.4, scale_factor=(0.5, 0.5)), dict(gsd=2), dict(gsd=1.0)), strict=True):
        sample.set_metainfo(meta)
    route = Route.from_samples(samples)
    assert route.gsd == (0.8, 2.0, 1.0)
    assert route.grouped().gsd == (0.8, 1.0, 2.0)
    samples[1] = make_sample('a', None)
    with pytest.raises(ValueError, match='gsd is in the metainfo of some samples .*SetGSD'):
        Route.from_samples(samples)


def test_segmentor_trains_and_predicts_by_it(multi_segmentor, make_sample, told):
    cfg = multi_segmentor(dict(type='s5_mm.ScaleMAE', class_token=True, gsd=7.0))
    model = MODELS.build(cfg)
    samples = [make_sample(name, torch.zeros(32, 32)) for name in ('red', 'green', 'red', 'green')]
    for sample, gsd in zip(samples, (0.1, 0.2, 0.3, 0.2), strict=True):
        sample.set_metainfo(dict(gsd=gsd))
    model.train().loss(torch.randn(4, 3, 32, 32), samples)
    assert sorted(told) == [0.1, 0.2, 0.3]
    told.clear()
    with torch.no_grad():
        predicted = model.eval().predict(torch.randn(4, 3, 32, 32), samples)
    assert told == [0.1, 0.3, 0.2]
    assert all(sample.pred_sem_seg.data.shape == (1, 32, 32) for sample in predicted)


def test_detector_predicts_by_it(told):
    init_default_scope('mmrotate')
    backbone = detector()['backbone'] | dict(type='s5_mm.ScaleMAE', class_token=True, patch_size=8)
    del backbone['name']
    model = MODELS.build(ConfigDict(detector(backbone=backbone))).eval()
    samples = [detection_sample(name) for name in ('red', 'green')]
    for sample, gsd in zip(samples, (0.1, 0.2), strict=True):
        sample.set_metainfo(dict(gsd=gsd, scale_factor=(2.0, 2.0)))
    with torch.no_grad():
        model.predict(torch.randn(2, 3, 64, 64), samples)
    assert told == [0.05, 0.1]


def test_transform():
    assert TRANSFORMS.build(dict(type='s5_mm.SetGSD', gsd=2))(dict(img=1)) == dict(img=1, gsd=2.0)
    with pytest.raises(ValueError, match='SetGSD: gsd is 0; give meters a pixel'):
        TRANSFORMS.build(dict(type='s5_mm.SetGSD', gsd=0))

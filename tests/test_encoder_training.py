"""Every family of encoders trains through the same three configs; overrides of the encoder's settings alone differ.

Crops have 120 px, which neither a patch of 14 nor one of 16 px divides, nor a Swin's stride of 32 px.
"""
import functools
import gc
import math

import pytest
from drawn_scenes import use_scenes, write_all
from mmengine.config import Config
from mmengine.registry import init_default_scope
from running import ROOT, clear_instances, narrow, scalars

from s5_mm.apis import build_runner
from s5_mm.models import ENCODERS

SIDE = 120
CONFIGS = ROOT / 'configs/quickstart'
RECIPES = dict(
    s4p='fixmatch_vit-t_upernet_synthetic-96x96.py',
    mdf_seg='moe-mdf_vit-t_upernet_landcover4-96x96.py',
    mdf_det='moe-mdf_vit-t_oriented-rcnn_dior-dota-128x128.py')
# Encoders of more bands see the three of the scenes.
RGB = dict(mean=(120.0, ) * 3, std=(60.0, ) * 3)
FAMILIES = {
    'ma3e-b': {}, 'satmaepp-l-sentinel': dict(groups=((0, ), (1, 2)), **RGB), 'scalemae-l': {}, 'rvsa-b-diamond': {},
    'samrs-b': {}, 'mtp-l-det': {}, 'dinov2-g-reg': {}, 'dinov3-7b': {}, 'prithvi-eo2-h': dict(in_channels=3, **RGB),
    'dofa-b': {}, 'gfm-b': {}, 'satlasnet-b-aerial': {}, 'internimage-xl': {},
    'timm:vit_small_patch14_reg4_dinov2': dict(options=dict(embed_dim=16, depth=8, num_heads=2))}


@pytest.fixture(autouse=True, scope='module')
def _quick_collections():
    """Each dataset collects garbage when it is built, among all objects of all packages: most of the time here."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """Two scenes of each dataset, of 128 px."""
    root = tmp_path_factory.mktemp('scenes')
    write_all(root, 2, times=2)
    return root


@functools.cache
def recipe(name):
    """Parsed once."""
    return Config.fromfile(CONFIGS / RECIPES[name])


def overrides(task, name, options):
    """The encoder of the table, made small; an expert has a quarter of the channels."""
    at = 'model.segmentor' if task == 's4p' else 'model'
    small = narrow(ENCODERS[name].cfg) if name in ENCODERS else {}
    settings = dict(name=name, img_size=SIDE) | small | options
    others = {} if task == 's4p' else {'model.experts': dict(share=1 / 4, part_features=None)}
    if task != 'mdf_det':
        others |= {'model.data_preprocessor.size': (SIDE, SIDE), f'{at}.decode_head.channels': 8}
    return {f'{at}.backbone.{key}': value for key, value in settings.items()} | others


@pytest.mark.parametrize('name', FAMILIES)
@pytest.mark.parametrize('task', RECIPES)
def test_three_steps(scenes, tmp_path, task, name):
    if name.startswith('timm:'):
        pytest.importorskip('timm')
    clear_instances()
    cfg = Config(recipe(task).to_dict())
    use_scenes(cfg, scenes, SIDE, steps=3, batch=2)
    cfg.merge_from_dict(overrides(task, name, FAMILIES[name]))
    cfg.default_hooks.logger.interval = 1
    cfg.param_scheduler = []
    cfg.work_dir = str(tmp_path)
    init_default_scope(cfg.default_scope)
    runner = build_runner(cfg)
    network = getattr(runner.model, 'segmentor', runner.model)
    before = {key: value.clone() for key, value in network.backbone.state_dict().items()}
    runner.train()
    log = scalars(tmp_path)
    assert list(log) == [1, 2, 3]
    assert all(math.isfinite(line['loss']) for line in log.values())
    still = [key for key, parameter in network.backbone.named_parameters() if (parameter == before[key]).all()]
    assert not still
    assert any('mIoU' in line or 'mAP' in line for line in next(
        tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines())

"""The configs that test published files: sizes, protocols, and the command on a published-layout file."""
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from published_files import published_files
from running import ROOT, command, forget_instances

from s5_mm.registry import MODELS

CONFIGS = sorted(path.name for path in (ROOT / 'configs/published').iterdir())


def config(name):
    return Config.fromfile(ROOT / 'configs/published' / name)


# Millions of parameters of the published modules, among which the unused ones do not show.
@pytest.mark.parametrize(('name', 'millions'), [
    ('s5_vit-b_moe-mdf_seg.py', 160.4), ('s5_vit-l_moe-mdf_seg.py', 435.0), ('s5_vit-h_moe-mdf_seg.py', 824.5),
    ('s5_vit-b_s4p_upernet_isaid.py', 103.2), ('s5_vit-l_s4p_upernet_isaid.py', 327.4),
    ('s5_vit-h_s4p_upernet_isaid.py', 663.4),
    ('s5_vit-b_moe-mdf_det.py', 140.6), ('s5_vit-l_moe-mdf_det.py', 380.9), ('s5_vit-h_moe-mdf_det.py', 733.9)])
def test_sizes(name, millions):
    cfg = config(name)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


def test_all_are_tested_here():
    assert len(CONFIGS) == 9


@pytest.mark.parametrize('size', 'blh')
def test_segmentation_protocols(size):
    """Those of the published code."""
    cfg = config(f's5_vit-{size}_moe-mdf_seg.py')
    protocols = {name: settings.test_cfg.to_dict() for name, settings in cfg.model.datasets.items()}
    flip = dict(mode='whole', flip=True)
    assert protocols == dict(
        vaihingen=flip, potsdam=flip, openearthmap=dict(mode='resize', size=(512, 512)),
        loveda=dict(mode='slide', crop_size=(512, 512), stride=(256, 256), style='published'))
    assert {name: settings.num_classes for name, settings in cfg.model.datasets.items()} == dict(
        vaihingen=5, potsdam=5, loveda=7, openearthmap=9)
    assert cfg.test_dataloader.openearthmap.dataset.label_rule == 'published'
    assert cfg.model.init_cfg is None
    isaid = config(f's5_vit-{size}_s4p_upernet_isaid.py')
    assert isaid.test_evaluator.excluded == ('background', )
    assert isaid.model.backbone.init_cfg is None


@pytest.fixture
def images(tmp_path):
    """Two images of 64 px with labels, as the command reads those of the ISPRS."""
    rng = np.random.default_rng(0)
    for kind, shape, highest in (('img_dir', (64, 64, 3), 256), ('ann_dir', (64, 64), 6)):
        (tmp_path / kind / 'val').mkdir(parents=True)
        for i in range(2):
            values = rng.integers(0, highest, shape).astype(np.uint8)
            Image.fromarray(values).save(tmp_path / kind / 'val' / f'{i}.png')
    return tmp_path


def test_command_on_a_published_file(golden, golden_mdf, images):
    """With the config of ViT-B made narrow."""
    key, weights = published_files(golden, golden_mdf)['published MoE-MDF segmentor']
    torch.save({key: {f'module.{name}': value for name, value in weights.items()}}, images / 'mdf.pth')
    side = golden_mdf.img_size
    cfg = config('s5_vit-b_moe-mdf_seg.py')
    cfg.model.backbone.update(arch=golden_mdf.arch, img_size=side)
    cfg.model.experts.part_features = golden_mdf.part_features
    cfg.model.decode_head.update(norm_cfg=dict(type='BN'))
    cfg.model.data_preprocessor.size = (side, side)
    cfg.test_dataloader.potsdam.update(num_workers=0, persistent_workers=False, batch_size=2)
    cfg.test_dataloader.potsdam.dataset.data_root = str(images)
    # The runner writes the config thrice, beautified at seconds each.
    kept = ('default_scope', 'custom_imports', 'model', 'test_cfg', 'visualizer', 'default_hooks')
    settings = {name: cfg.to_dict()[name] for name in kept} | {
        name: dict(potsdam=cfg.to_dict()[name]['potsdam']) for name in ('test_dataloader', 'test_evaluator')}
    (images / 'narrow.py').write_text('\n'.join(f'{name} = {value!r}' for name, value in settings.items()))
    forget_instances()
    command('tools/test.py')([
        str(images / 'narrow.py'), str(images / 'mdf.pth'), '--work-dir', str(images / 'run'), '--dataset', 'potsdam',
        '--json', str(images / 'scores.json')])
    assert 0 < json.loads((images / 'scores.json').read_text())['potsdam/mFscore'] < 100

"""docs/finetune.md as documented, with fewer steps: cut, train, test, predict; its settings."""
import re
import shlex
import shutil

import geopandas
import pytest
import rasterio
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from running import ROOT, command, forget_instances, losses

from s5_mm.registry import MODELS

PAGE = (ROOT / 'docs/finetune.md').read_text()
FEWER = ['--cfg-options', 'train_cfg.max_iters=4', 'train_cfg.val_interval=4', 'default_hooks.logger.interval=1',
         'default_hooks.checkpoint.interval=4', 'param_scheduler.0.end=2', 'train_dataloader.num_workers=0',
         'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
         'val_dataloader.persistent_workers=False']


def commands(page):
    """The documented commands, as lists of words."""
    lines = page.partition('## Your data')[0].replace('\\\n', ' ').splitlines()
    return [shlex.split(line) for line in lines if line.startswith('python ')]


def test_the_page_works_as_documented(tmp_path, monkeypatch):
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    monkeypatch.chdir(tmp_path)
    config = re.search(r'```python\n(.+?)```', PAGE, re.S).group(1)
    (tmp_path / 'configs/finetune/mine.py').write_text(config)
    ran = []
    for _, tool, *arguments in commands(PAGE):
        arguments = [word.replace('iter_800', 'iter_4') for word in arguments]
        more = {'tools/train.py': FEWER, 'tools/predict.py': ['--device', 'cpu'],
                'data_prep/curate.py': ['--workers', '1'], 'tools/test.py': ['--work-dir', 'work_dirs/tested']}
        forget_instances()
        command(tool)([*arguments, *more.get(tool, [])])
        ran.append(tool)
    assert ran == ['data_prep/synthetic.py', 'data_prep/curate.py', 'tools/train.py', 'tools/test.py',
                   'tools/predict.py']
    assert losses(tmp_path / 'work_dirs/mine')[4] < 3
    scene = next((tmp_path / 'data/synthetic/own/temperate/images').iterdir())
    with rasterio.open(scene) as file, rasterio.open(tmp_path / f'work_dirs/maps/{scene.stem}.tif') as found:
        assert (found.shape, found.transform, found.crs) == (file.shape, file.transform, file.crs)
    polygons = geopandas.read_file(tmp_path / f'work_dirs/maps/{scene.stem}.gpkg')
    assert len(polygons) > 0
    assert {*polygons['class']} <= {'bare', 'range', 'developed', 'road', 'tree', 'water', 'field', 'building'}


@pytest.mark.parametrize('name', ['upernet_vit-b_own-512x512.py', 'upernet_vit-t_own-128x128.py'])
def test_documented_settings_exist(name):
    """--cfg-options makes what is misspelt, so each key must be there already, or be an option of its class."""
    cfg = Config.fromfile(ROOT / 'configs/finetune' / name)
    known = {'load_from', 'model.backbone.frozen_stages', 'optim_wrapper.accumulative_counts'}
    for key in re.findall(r'`?\b((?:model|optim_wrapper|train_cfg|train_dataloader)\.[\w.]+)=', PAGE):
        node = cfg
        if key in known:
            continue
        for part in key.split('.'):
            assert part in node, key
            node = node[part]


def test_early_layers_learn_slower_and_frozen_ones_not_at_all():
    cfg = Config.fromfile(ROOT / 'configs/finetune/upernet_vit-t_own-128x128.py')
    init_default_scope('mmseg')
    model = MODELS.build(dict(cfg.model, backbone=dict(cfg.model.backbone, init_cfg=None)))
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    rates = {id(group['params'][0]): group['lr'] for group in groups}
    depth = len(model.backbone.layers)
    first, last = (rates[id(model.backbone.layers[index].ffn.layers[1].weight)] for index in (0, depth - 1))
    assert first == pytest.approx(1e-3 * 0.75**depth)
    assert last == pytest.approx(1e-3 * 0.75)
    assert rates[id(model.decode_head.conv_seg.weight)] == pytest.approx(1e-3)
    frozen = MODELS.build(dict(cfg.model, backbone=dict(cfg.model.backbone, init_cfg=None, frozen_stages=depth)))
    frozen.train()
    assert not any(value.requires_grad for value in frozen.backbone.layers.parameters())
    assert all(value.requires_grad for value in frozen.decode_head.parameters())
    groups = build_optim_wrapper(frozen, cfg.optim_wrapper).optimizer.param_groups
    assert sum(value.numel() for group in groups for value in group['params']) < sum(
        map(torch.Tensor.numel, model.parameters()))

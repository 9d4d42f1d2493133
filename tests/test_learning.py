"""The three jobs learn: each overfits a handful of drawn scenes through its real config and the runner.

Equal parts do not prove that a job learns. The floors are far above what an untrained or a broken network reaches.
"""
import json

import pytest
from drawn_scenes import SIDE, write, write_dior_r, write_dota, write_segmentation
from drawn_scenes import draw_scene as draw
from mmengine.config import Config
from running import ROOT, dicts_in, load_in_this_process, run_tool, save_config

IMAGES = 4
CONFIGS = ROOT / 'configs/quickstart'
BENCHMARKS = dict(vaihingen='.png', potsdam='.png', loveda='.png', openearthmap='.tif')


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """Labeled scenes in the files of every benchmark, and unlabeled ones."""
    root = tmp_path_factory.mktemp('scenes')
    write_segmentation(root / 'isaid', IMAGES, ids=(0, 3, 4, 6))
    for i in range(2 * IMAGES):
        write(root / 'unlabeled' / f'{i}.png', draw(500 + i)[0])
    for seed, (name, suffix) in enumerate(BENCHMARKS.items(), start=1):
        write_segmentation(root / name, IMAGES, ids=(1, 2, 3, 4), suffix=suffix, seed=1000 * seed)
    write_dior_r(root / 'dior_r', IMAGES)
    write_dota(root / 'dota', IMAGES)
    return root


def scores(config, scenes, folder, steps, batch, rate):
    """Metrics of a quickstart config that was trained from random weights on the scenes and tested on them again.

    Args:
        config: Its name.
        scenes: Their folder.
        folder: Where the run goes.
        steps: Optimizer steps.
        batch: Images of each source or dataset in a step.
        rate: Learning rate.
    """
    cfg = Config.fromfile(CONFIGS / config)
    load_in_this_process(cfg)
    for node in dicts_in(cfg._cfg_dict):
        for key in ('data_root', 'ann_dir', 'source'):
            if node.get(key):
                node[key] = node[key].replace('data/quickstart', str(scenes))
        for key in ('crop_size', 'scale'):
            if key in node:
                node[key] = (SIDE, SIDE)
    sources = cfg.train_dataloader.dataset.sources
    cfg.train_dataloader.batch_size = batch * len(sources)
    cfg.train_dataloader.sampler.per_batch = dict.fromkeys(sources, batch)
    cfg.model.get('segmentor', cfg.model).init_cfg = None
    cfg.optim_wrapper.optimizer.lr = rate
    warm_up, cosine = cfg.param_scheduler
    warm_up.end = cosine.begin = 10
    cosine.end = cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = steps
    cfg.default_hooks.checkpoint.interval = steps
    cfg.randomness = dict(seed=0)
    path = save_config(cfg, folder / 'config.py')
    run_tool('train', path, '--work-dir', folder / 'run')
    run_tool('test', path, folder / f'run/iter_{steps}.pth', '--work-dir', folder / 'test', '--json',
             folder / 'metrics.json')
    return json.loads((folder / 'metrics.json').read_text())


def test_s4p_learns(scenes, tmp_path):
    found = scores('fixmatch_vit-t_upernet_synthetic-96x96.py', scenes, tmp_path, steps=120, batch=4, rate=5e-3)
    assert found['mIoU'] > 70


def test_moe_mdf_segmentation_learns(scenes, tmp_path):
    found = scores('moe-mdf_vit-t_upernet_landcover4-96x96.py', scenes, tmp_path, steps=100, batch=2, rate=4e-3)
    assert found['mean/mIoU'] > 70


def test_moe_mdf_detection_learns(scenes, tmp_path):
    found = scores('moe-mdf_vit-t_oriented-rcnn_dior-dota-128x128.py', scenes, tmp_path, steps=80, batch=2, rate=2e-3)
    assert min(found['dior/mAP'], found['dota/mAP']) > 60, found

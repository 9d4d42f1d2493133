"""The three jobs learn: each overfits a handful of drawn scenes through its real config and the runner.

Equal parts do not prove that a job learns. The floors are far above what an untrained or a broken network reaches.
"""
import json

import pytest
from drawn_scenes import SIDE, use_scenes, write_all
from mmengine.config import Config
from running import ROOT, run_tool, save_config

IMAGES = 4
CONFIGS = ROOT / 'configs/quickstart'


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """Labeled scenes in the files of every benchmark, and unlabeled ones."""
    root = tmp_path_factory.mktemp('scenes')
    write_all(root, IMAGES)
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
    use_scenes(cfg, scenes, SIDE, steps, batch)
    cfg.optim_wrapper.optimizer.lr = rate
    warm_up, cosine = cfg.param_scheduler
    warm_up.end = cosine.begin = 10
    path = save_config(cfg, folder / 'config.py')
    run_tool('train', path, '--work-dir', folder / 'run')
    run_tool('test', path, folder / f'run/iter_{steps}.pth', '--work-dir', folder / 'test', '--json',
             folder / 'metrics.json')
    return json.loads((folder / 'metrics.json').read_text())


def test_s4p_learns(scenes, tmp_path):
    found = scores('fixmatch_vit-t_upernet_synthetic-96x96.py', scenes, tmp_path, steps=200, batch=4, rate=3e-3)
    assert found['mIoU'] > 70


def test_moe_mdf_segmentation_learns(scenes, tmp_path):
    found = scores('moe-mdf_vit-t_upernet_landcover4-96x96.py', scenes, tmp_path, steps=100, batch=2, rate=4e-3)
    assert found['mean/mIoU'] > 70


def test_moe_mdf_detection_learns(scenes, tmp_path):
    found = scores('moe-mdf_vit-t_oriented-rcnn_dior-dota-128x128.py', scenes, tmp_path, steps=80, batch=2, rate=2e-3)
    assert min(found['dior/mAP'], found['dota/mAP']) > 60, found

"""MoE-MDF detection by the commands that users use, on synthetic DIOR-R and DOTA: prepare, train, resume, test."""
import json
import math
import re
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from running import ROOT, command, dicts_in, load_in_this_process, losses, resumed_at, save_watched, scalars, validated
from running import run_tool as run
from tiny_detectors import detector

from s5_mm import registry
from s5_mm.registry import MODELS

MOE = 'configs/mdf_det/moe-mdf_vit-b-s4p_oriented-rcnn_4xb4-12e_dior-dota2-1024x1024.py'
ALONE = 'configs/sdf_det/sdf_vit-b-s4p_oriented-rcnn_4xb2-12e_dior-1024x1024.py'
QUICKSTART = 'configs/quickstart/moe-mdf_vit-t_oriented-rcnn_dior-dota-128x128.py'
CONFIGS = sorted(path for kind in ('mdf_det', 'sdf_det') for path in (ROOT / 'configs' / kind).glob('*.py'))
DATASETS = ('dior', 'dota')
LOSSES = ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox')


@pytest.fixture(autouse=True)
def _mmrotate_scope(_mmseg_scope):
    init_default_scope('mmrotate')


@pytest.fixture(scope='module')
def benchmarks(tmp_path_factory):
    """The two benchmarks as data_prep writes them: images of 96 px, and patches of 64 px."""
    root = tmp_path_factory.mktemp('benchmarks')
    for kind, numbers, more in (('dior_r', (6, 2, 2), []), ('dota', (2, 1, 1), ['--size', '64', '--gap', '16'])):
        splits = [part for pair in zip(('--train', '--val', '--test'), map(str, numbers), strict=True) for part in pair]
        command('data_prep/synthetic.py')([kind, str(root / 'raw' / kind), '--size', '96', '--workers', '1', *splits])
        out = root / {'dota': 'dota_v2'}.get(kind, kind)
        command(f'data_prep/{kind}.py')([str(root / 'raw' / kind), str(out), '--workers', '1', *more])
    return root


def shrink(cfg, root):
    """Small images and the test's folders, everywhere in a config."""
    load_in_this_process(cfg)
    for node in dicts_in(cfg):
        for key in ('data_root', 'ann_dir'):
            if node.get(key):
                node[key] = node[key].replace('data/', f'{root}/')
        if 'scale' in node:
            node['scale'] = (64, 64)


def small_config(path, config, root, options=None):
    """One of our configs with a tiny network, two images of each dataset in a batch, and two epochs."""
    cfg = Config.fromfile(config)
    shrink(cfg._cfg_dict, root)
    cfg.model = detector(datasets=cfg.model.datasets.to_dict())
    cfg.model.train_cfg.rpn.sampler.num = cfg.model.train_cfg.rcnn.sampler.num = 64
    cfg.model.test_cfg.rcnn.score_thr = 0.05
    cfg.param_scheduler[0].end = 2
    cfg.param_scheduler[1].milestones = [1]
    cfg.train_cfg.update(max_epochs=2, val_interval=2)
    return save_watched(cfg, path, options)


@pytest.fixture(scope='module')
def trained(benchmarks, tmp_path_factory):
    """MoE-MDF after two epochs of the longest dataset."""
    folder = tmp_path_factory.mktemp('trained')
    config = small_config(folder / 'moe.py', ROOT / MOE, benchmarks)
    run('train', config, '--work-dir', folder / 'run')
    return folder


@pytest.fixture(scope='module')
def epoch(benchmarks):
    """Iterations of an epoch: the longer dataset by two."""
    images = [len((benchmarks / 'dior_r/ImageSets/Main/trainval.txt').read_text().split()), sum(
        bool([line for line in path.read_text().splitlines() if len(line.split()) == 10 and line.split()[-1] != '2'])
        for path in (benchmarks / 'dota_v2/patches/train/labelTxt').iterdir())]
    return math.ceil(max(images) / 2)


def test_training_logs_each_data_set_and_keeps_the_best(trained, epoch):
    """In bfloat16, with a rate that falls to a tenth after the first epoch."""
    log = scalars(trained / 'run')
    assert list(log) == list(range(1, 2 * epoch + 1))
    assert all(math.isfinite(line[f'{name}.{loss}']) for line in log.values() for name in DATASETS for loss in LOSSES)
    rates = [line['lr'] for line in log.values()]
    assert rates[0] == pytest.approx(1e-7)
    assert rates[epoch - 1] == pytest.approx(1e-4)
    assert rates[epoch] == pytest.approx(1e-5)
    metrics = validated(trained / 'run')
    assert metrics['mean/mAP'] == pytest.approx(sum(metrics[f'{name}/mAP'] for name in DATASETS) / 2, abs=0.01)
    assert {'dior/AP.ship', 'dota/patch_mAP', 'dota/AP.ship'} <= set(metrics)
    assert len(list((trained / 'run').glob('best_mean_mAP_iter_*.pth'))) == 1


def test_resume_continues_as_if_never_stopped(trained, tmp_path):
    """And so two runs with one seed give the same losses."""
    straight, resumed = resumed_at(trained / 'moe.py', trained / 'run', 3, tmp_path / 'run')
    assert resumed == straight
    assert len(set(straight.values())) == len(straight) > 1


def test_one_seed_gives_the_same_losses_twice(trained, tmp_path):
    run('train', trained / 'moe.py', '--work-dir', tmp_path / 'run', '--cfg-options', 'train_cfg.max_epochs=1')
    again = losses(tmp_path / 'run')
    assert again == {step: loss for step, loss in losses(trained / 'run').items() if step in again}
    assert len(again) >= 3


@pytest.fixture(scope='module')
def scores_of_both(trained):
    """Both tested in one process, and drawn."""
    last = max((trained / 'run').glob('iter_*.pth'), key=lambda path: int(path.stem.split('_')[1]))
    run('test', trained / 'moe.py', last, '--work-dir', trained / 'test', '--json', trained / 'metrics.json',
        '--show-dir', trained / 'drawn')
    return last, json.loads((trained / 'metrics.json').read_text())


def test_testing_gives_the_validated_scores(trained, scores_of_both):
    logged = validated(trained / 'run')
    assert {name: value for name, value in logged.items() if '/' in name} == pytest.approx(
        {name: math.nan if value is None else value for name, value in scores_of_both[1].items()}, nan_ok=True)


def test_pictures_of_each_data_set(benchmarks, trained, scores_of_both):
    drawn = {path.name for path in (trained / 'drawn' / 'vis_data' / 'vis_image').iterdir()}
    images = dict(dior=benchmarks / 'dior_r/JPEGImages-test', dota=benchmarks / 'dota_v2/patches/val/images')
    expected = [f'test_{name}_{image.name}' for name, folder in images.items() for image in folder.iterdir()]
    assert len(drawn) == len(expected) > 4
    assert all(any(name.startswith(start) for name in drawn) for start in expected)


def test_one_of_two(trained, scores_of_both):
    run('test', trained / 'moe.py', scores_of_both[0], '--work-dir', trained / 'one', '--json', trained / 'one.json',
        '--dataset', 'dota')
    metrics = json.loads((trained / 'one.json').read_text())
    assert {name: value for name, value in metrics.items() if name.startswith('dota/')} == {
        name: value for name, value in scores_of_both[1].items() if name.startswith('dota/')}
    assert {name.split('/')[0] for name in metrics} == {'dota', 'mean'}


def test_one_data_set_alone_trains(benchmarks, tmp_path):
    config = small_config(tmp_path / 'alone.py', ROOT / ALONE, benchmarks, dict(train_cfg=dict(max_epochs=1)))
    run('train', config, '--work-dir', tmp_path / 'run', '--auto-scale-lr')
    log = scalars(tmp_path / 'run')
    assert {key.split('.')[0] for key in log[1] if '.loss' in key} == {'dior'}
    # 2 images a step instead of 8.
    assert log[max(log)]['lr'] == pytest.approx(1e-4 / 4)


def test_another_number_of_classes_is_an_error_before_training(benchmarks, tmp_path):
    config = small_config(tmp_path / 'moe.py', ROOT / MOE, benchmarks, {'model.datasets.dior.num_classes': 19})
    with pytest.raises(ValueError, match=r"dataset 'dior' has 20 classes .*its head in the model has 19"):
        run('train', config, '--work-dir', tmp_path / 'run')
    assert not losses(tmp_path / 'run')


@pytest.fixture(scope='module')
def harbor(benchmarks):
    """Images and patches of classes of one's own, in the files of DOTA."""
    shutil.copytree(benchmarks / 'dota_v2', benchmarks / 'harbor', symlinks=True)
    for path in [*(benchmarks / 'harbor').rglob('labelTxt/*.txt')]:
        objects = [line.split() for line in path.read_text().splitlines() if len(line.split()) == 10]
        lines = [' '.join([*one[:8], ('ship', 'crane')[i % 2], one[9]]) for i, one in enumerate(objects)]
        path.unlink()
        path.write_text('\n'.join(lines))


def test_the_documented_config_of_a_third_data_set_trains(benchmarks, harbor, tmp_path):
    text = re.search(r'```python\n(_base_.+?)```', (ROOT / 'docs/mdf_det.md').read_text(), re.S).group(1)
    (tmp_path / 'three.py').write_text(text.replace("'./moe", f"'{ROOT}/configs/mdf_det/moe"))
    config = small_config(tmp_path / 'small.py', tmp_path / 'three.py', benchmarks, dict(train_cfg=dict(max_epochs=1)))
    run('train', config, '--work-dir', tmp_path / 'run')
    assert all(line['harbor.loss_cls'] > 0 for line in scalars(tmp_path / 'run').values())
    assert {'harbor/mAP', 'harbor/AP.crane', 'dior/mAP', 'mean/mAP'} <= set(validated(tmp_path / 'run'))


# Millions of parameters; the figures of the paper are in tests/tools/test_model_stats.py.
COUNTS = {
    'moe-mdf_vit-b': 140.6, 'moe-mdf_vit-l': 380.9, 'moe-mdf_vit-h': 733.9, 'mdf_vit-b': 131.2, 'mdf_vit-l': 355.7,
    'mdf_vit-h': 692.0, 'sdf_vit-b': 113.5, 'sdf_vit-l': 337.8, 'sdf_vit-h': 673.8, 'sdf_r50': 41.4}


@pytest.mark.parametrize('path', [*CONFIGS, ROOT / QUICKSTART], ids=lambda path: path.stem)
def test_every_config(path):
    """Parameters, datasets, classes and images of a step."""
    cfg = Config.fromfile(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    names = set(model.datasets)
    assert names == set(cfg.train_dataloader.dataset.sources) == set(cfg.val_dataloader) == set(cfg.test_evaluator)
    assert cfg.train_dataloader.batch_size == len(names) * cfg.train_dataloader.sampler.per_batch
    sources = [*cfg.train_dataloader.dataset.sources.items(),
               *((name, loader.dataset) for name, loader in cfg.test_dataloader.items())]
    for name, source in sources:
        classes = registry.DATASETS.build({**source, 'lazy_init': True}).metainfo['classes']
        assert len(classes) == model.settings[name].num_classes, name
    if path in CONFIGS:
        method, encoder = path.stem.split('_')[:2]
        millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
        assert millions == pytest.approx(COUNTS[f'{method}_{encoder.removesuffix("-s4p")}'], abs=0.05)
        processes = int(path.stem.split('_')[3 if 's4p' in path.stem or 'r50' in path.stem else 2][0])
        assert cfg.auto_scale_lr.base_batch_size == processes * cfg.train_dataloader.batch_size

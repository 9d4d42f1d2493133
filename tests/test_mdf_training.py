"""MoE-MDF by the commands that users use, on small files like the benchmarks': train, resume, test, submit, add."""
import json
import os
import re
import socket
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import rasterio
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from PIL import Image
from running import ROOT, TINY, dicts_in, load_in_this_process, losses, resumed_at, save_watched, scalars, validated
from running import run_tool as run

from s5_mm import registry
from s5_mm.registry import MODELS

MOE = 'configs/mdf_seg/moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py'
LAYER_DECAY = MOE.replace('100e', '100e-layer-decay')
SERVER = MOE.replace('landcover4', 'landcover4-loveda-server')
NINE = MOE.replace('landcover4', 'landcover4-openearthmap9')
CONFIGS = sorted(path for kind in ('mdf_seg', 'sdf') for path in (ROOT / 'configs' / kind).glob('*.py'))
SMALL = dict(crop_size=(32, 32), stride=(16, 16), size=(48, 48))
# Name -> side of the images, ids in label files, numbers of images.
DATASETS = dict(
    vaihingen=(64, 7, dict(train=4, val=2)),
    potsdam=(64, 7, dict(train=6, val=2)),
    loveda=(72, 8, dict(train=5, val=3, test=2)),
    openearthmap=(60, 9, dict(train=4, val=2)))


def write_image(path, image):
    """A PNG, or a GeoTIFF with a position on Earth."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.png':
        Image.fromarray(image).save(path)
        return
    bands = np.atleast_3d(image).transpose(2, 0, 1)
    with rasterio.open(path, 'w', driver='GTiff', height=bands.shape[1], width=bands.shape[2], count=len(bands),
                       dtype='uint8', crs='EPSG:32633', transform=rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6)) as file:
        file.write(bands)


def write_pair(root, split, name, side, ids, seed, suffix):
    """Blocks of classes whose colors tell them; no labels for a test split."""
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, ids, (-(-side // 12), ) * 2), np.ones((12, 12)))[:side, :side].astype(np.uint8)
    image = np.stack([labels * 28, 250 - labels * 20, (labels * 83) % 250], axis=-1).astype(np.uint8)
    write_image(root / 'img_dir' / split / f'{name}{suffix}', image + rng.integers(0, 6, image.shape, dtype=np.uint8))
    if split != 'test':
        write_image(root / 'ann_dir' / split / f'{name}{suffix}', labels)


@pytest.fixture(scope='module')
def benchmarks(tmp_path_factory):
    """The four benchmarks as data_prep writes them, and three classes in the user's own folders."""
    root = tmp_path_factory.mktemp('benchmarks')
    for number, (name, (side, ids, splits)) in enumerate(DATASETS.items()):
        suffix = '.tif' if name == 'openearthmap' else '.png'
        for split, count in splits.items():
            for i in range(count):
                write_pair(root / name, split, f'{split}_{i}', side, ids, 100 * number + i, suffix)
    (root / 'loveda' / 'lists').mkdir()
    (root / 'loveda' / 'lists' / 'trainval.txt').write_text(
        ''.join(f'{split}/{split}_{i}\n' for split, count in (('train', 5), ('val', 3)) for i in range(count)))
    rng = np.random.default_rng(5)
    for split in ('train', 'val'):
        for i in range(2):
            write_image(root / 'fields' / 'images' / split / f'{i}.png', rng.integers(0, 256, (50, 70, 3), np.uint8))
            write_image(root / 'fields' / 'masks' / split / f'{i}_mask.png', rng.integers(0, 3, (50, 70), np.uint8))
    return root


def shrink(cfg, root):
    """Small sizes and the test's folders, everywhere in a config."""
    load_in_this_process(cfg)
    for node in dicts_in(cfg):
        if 'data_root' in node:
            node['data_root'] = node['data_root'].replace('data/', f'{root}/')
        node.update({key: value for key, value in SMALL.items() if key in node})


def small_config(path, config, root, options=None):
    """One of our configs with a tiny network, two small crops of each dataset in a batch, and short epochs."""
    cfg = Config.fromfile(config)
    shrink(cfg._cfg_dict, root)
    cfg.model.data_preprocessor.size = (32, 32)
    cfg.model.init_cfg = None
    cfg.model.backbone.update(arch=TINY, img_size=32, patch_size=8)
    if cfg.model.experts:
        cfg.model.experts.part_features //= 32
    cfg.model.decode_head.update(channels=16, norm_cfg=dict(type='BN'))
    sources = cfg.train_dataloader.dataset.sources
    cfg.train_dataloader.batch_size = 2 * len(sources)
    cfg.train_dataloader.sampler.per_batch = dict.fromkeys(sources, 2)
    cfg.train_cfg.update(max_epochs=2, val_interval=1)
    return save_watched(cfg, path, options)


@pytest.fixture(scope='module')
def trained(benchmarks, tmp_path_factory):
    """MoE-MDF after two epochs of the longest dataset, 3 iterations each."""
    folder = tmp_path_factory.mktemp('trained')
    config = small_config(folder / 'moe.py', ROOT / MOE, benchmarks)
    run('train', config, '--work-dir', folder / 'run')
    return folder


def test_training_logs_each_data_set_and_keeps_the_best(trained):
    log = scalars(trained / 'run')
    assert list(log) == [1, 2, 3, 4, 5, 6]
    for name in DATASETS:
        assert all(np.isfinite(line[f'{name}.loss_ce']) for line in log.values())
    # Its loss starts at 0.7 * 6 = 4.2 finished iterations: the sixth is the first with 5 of them.
    assert [line['vaihingen.loss_ce'] > 0 for line in log.values()] == [False] * 5 + [True]
    metrics = validated(trained / 'run')
    assert metrics['mean/mIoU'] == pytest.approx(np.mean([metrics[f'{name}/mIoU'] for name in DATASETS]), abs=0.01)
    for name in DATASETS:
        assert {f'{name}/{key}' for key in ('mIoU', 'mFscore', 'mAcc', 'aAcc')} <= set(metrics)
    assert len(list((trained / 'run').glob('best_mean_mIoU_iter_*.pth'))) == 1


def test_resume_continues_as_if_never_stopped(trained, tmp_path):
    straight, resumed = resumed_at(trained / 'moe.py', trained / 'run', 3, tmp_path / 'run')
    assert resumed == straight
    assert len(set(straight.values())) == 3


@pytest.fixture(scope='module')
def scores_of_all(trained):
    """All four tested in one process, with every kind of output."""
    run('test', trained / 'moe.py', trained / 'run' / 'iter_6.pth', '--work-dir', trained / 'test', '--json',
        trained / 'metrics.json', '--out', trained / 'ids', '--show-dir', trained / 'drawn')
    return json.loads((trained / 'metrics.json').read_text())


def test_testing_gives_the_validated_scores(trained, scores_of_all):
    logged = validated(trained / 'run')
    assert {name: value for name, value in logged.items() if '/' in name} == pytest.approx(
        {name: float('nan') if value is None else value for name, value in scores_of_all.items()}, nan_ok=True)


def test_class_indices_and_pictures_of_each_data_set(trained, scores_of_all):
    for name, (side, ids, splits) in DATASETS.items():
        written = sorted((trained / 'ids' / name).iterdir())
        assert [path.name for path in written] == [f'val_{i}.png' for i in range(splits['val'])]
        for path in written:
            indices = np.asarray(Image.open(path))
            assert indices.shape == (side, side)
            # On disk 0 is ignored, and clutter of the ISPRS sets: 5, 5, 7 and 8 classes are left.
            assert indices.max() < (5 if ids == 7 else ids - 1)
    drawn = {path.name for path in (trained / 'drawn' / 'vis_data' / 'vis_image').iterdir()}
    assert {re.sub(r'_\d+\.png$', '', name) for name in drawn} == {
        f'test_{name}_val_{i}{".tif" if name == "openearthmap" else ".png"}'
        for name, (_, _, splits) in DATASETS.items() for i in range(splits['val'])}


def test_one_of_several(trained, scores_of_all):
    run('test', trained / 'moe.py', trained / 'run' / 'iter_6.pth', '--work-dir', trained / 'one', '--json',
        trained / 'one.json', '--dataset', 'potsdam')
    metrics = json.loads((trained / 'one.json').read_text())
    assert {name: value for name, value in metrics.items() if name.startswith('potsdam/')} == {
        name: value for name, value in scores_of_all.items() if name.startswith('potsdam/')}
    assert {name.split('/')[0] for name in metrics} == {'potsdam', 'mean'}
    assert metrics['mean/mIoU'] == metrics['potsdam/mIoU']


def test_two_processes_give_the_same_scores(trained, scores_of_all):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    environment = dict(os.environ, PYTHON=sys.executable, PORT=str(port), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    done = subprocess.run(
        ['bash', str(ROOT / 'tools/dist_test.sh'), str(trained / 'moe.py'), str(trained / 'run' / 'iter_6.pth'), '2',
         '--work-dir', str(trained / 'two'), '--json', str(trained / 'two.json'), '--out', str(trained / 'two_ids')],
        env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((trained / 'two.json').read_text()) == pytest.approx(scores_of_all, abs=0.02)
    assert len(list((trained / 'two_ids' / 'loveda').iterdir())) == 3


def test_submission_to_lovedas_server(benchmarks, trained, tmp_path):
    """PNG with the values 0-6 at the top level of a zip, one for each test image."""
    config = small_config(tmp_path / 'server.py', ROOT / SERVER, benchmarks, {
        'test_evaluator.loveda': [dict(type='s5_mm.LabelMapWriter', zip_file=str(tmp_path / 'loveda.zip'))]})
    run('test', config, trained / 'run' / 'iter_6.pth', '--work-dir', tmp_path / 'run')
    with zipfile.ZipFile(tmp_path / 'loveda.zip') as archive:
        assert archive.namelist() == ['test_0.png', 'test_1.png']
        for name in archive.namelist():
            with archive.open(name) as file:
                assert np.asarray(Image.open(file)).max() <= 6


def test_training_for_the_server_takes_training_and_validation_images(benchmarks, tmp_path):
    config = small_config(tmp_path / 'server.py', ROOT / SERVER, benchmarks)
    run('train', config, '--work-dir', tmp_path / 'run')
    # 8 images by 2, where the largest of the other datasets takes 3.
    assert max(scalars(tmp_path / 'run')) == 8
    assert not any(name.startswith('loveda/') for name in validated(tmp_path / 'run'))


def test_batches_that_do_not_suit_the_model_are_an_error_before_training(benchmarks, tmp_path):
    config = small_config(tmp_path / 'moe.py', ROOT / MOE, benchmarks, {
        'train_dataloader.batch_size': 7, 'train_dataloader.sampler.per_batch.loveda': 1})
    with pytest.raises(ValueError, match=r"1 image of dataset 'loveda'.* needs 2; raise MultiSourceSampler"):
        run('train', config, '--work-dir', tmp_path / 'run')
    assert not losses(tmp_path / 'run')


def test_layer_decay_reaches_the_optimizer(benchmarks, tmp_path):
    """Four blocks: block i learns at 0.9 ** (4 - i) times the rate, what is before them at 0.9 ** 5 times it."""
    cfg = Config.fromfile(small_config(tmp_path / 'decay.py', ROOT / LAYER_DECAY, benchmarks))
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = {group['param_name']: group for group in wrapper.optimizer.param_groups}
    expected = {
        'backbone.patch_embed.projection.weight': 0.9**5,
        'backbone.pos_embed': 0.9**5,
        'backbone.layers.0.attn.qkv.weight': 0.9**4,
        'backbone.layers.3.ln1.weight': 0.9,
        'decode_heads.potsdam.conv_seg.weight': 1,
    }
    expected |= {name: 0.9**2 for name in groups if name.startswith('backbone.layers.2.ffn.')}
    assert sum('experts' in name for name in expected) == 2 * len(DATASETS)
    for name, factor in expected.items():
        assert groups[name]['lr'] == pytest.approx(5e-5 * factor), name
    decays = {name: group['weight_decay'] for name, group in groups.items()}
    assert decays['backbone.pos_embed'] == decays['backbone.layers.3.ln1.weight'] == 0
    assert decays['backbone.layers.0.attn.qkv.weight'] == 0.05


def test_the_paper_config_has_no_layer_decay(benchmarks, tmp_path):
    cfg = Config.fromfile(small_config(tmp_path / 'moe.py', ROOT / MOE, benchmarks))
    wrapper = build_optim_wrapper(MODELS.build(cfg.model), cfg.optim_wrapper)
    assert {group['lr'] for group in wrapper.optimizer.param_groups} == {5e-5}


# Millions of parameters as published (512 px, UperNet 256); SDF by the number of classes differs by less.
COUNTS = {
    'moe-mdf_vit-b': 160.4, 'moe-mdf_vit-l': 435.0, 'moe-mdf_vit-h': 824.4, 'moe-mdf-part128_vit-b': 146.2,
    'moe-mdf-part512_vit-b': 188.7, 'mdf_vit-b': 132.1, 'mdf_vit-l': 359.5, 'mdf_vit-h': 698.6, 'sdf_vit-b': 103.2,
    'sdf_vit-l': 327.4, 'sdf_vit-h': 663.4}


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_parameters_of_every_config(path):
    cfg = Config.fromfile(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    method, encoder = path.stem.split('_')[:2]
    assert millions == pytest.approx(COUNTS[f'{method}_{encoder.removesuffix("-s4p")}'], abs=0.05)
    assert cfg.train_dataloader.batch_size == 12 * len(model.datasets) == cfg.auto_scale_lr.base_batch_size
    assert set(cfg.val_dataloader) == set(cfg.val_evaluator)
    assert set(cfg.val_dataloader) | set(cfg.test_dataloader) == set(model.datasets)
    assert model.settings.get('vaihingen', None) is None or model.settings['vaihingen'].start == (
        0.7 if len(model.datasets) > 1 else 0)


def data_sets(cfg):
    """(name, dataset that has not looked for its files) of every split of a config."""
    found = list(cfg.train_dataloader.dataset.sources.items())
    for loaders in (cfg.val_dataloader, cfg.test_dataloader):
        found += [(name, loader.dataset) for name, loader in loaders.items()]
    return [(name, registry.DATASETS.build({**dataset, 'lazy_init': True})) for name, dataset in found]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_classes_of_every_config(path):
    cfg = Config.fromfile(path)
    for name, dataset in data_sets(cfg):
        assert len(dataset.metainfo['classes']) == cfg.model.datasets[name].num_classes, name


def test_nine_classes_of_openearthmap(benchmarks, tmp_path):
    """Unknown, which is on disk as 0, is the first class and is scored."""
    assert {(dataset.label_rule, len(dataset.metainfo['classes'])) for name, dataset in data_sets(
        Config.fromfile(ROOT / NINE)) if name == 'openearthmap'} == {('published', 9)}
    config = small_config(tmp_path / 'nine.py', ROOT / NINE, benchmarks, dict(train_cfg=dict(max_epochs=1)))
    run('train', config, '--work-dir', tmp_path / 'run')
    metrics = validated(tmp_path / 'run')
    assert {'openearthmap/IoU.unknown', 'openearthmap/IoU.building'} <= set(metrics)


def test_the_documented_options_for_nine_classes(benchmarks, trained, tmp_path):
    text = (ROOT / 'docs/mdf_seg.md').read_text()
    options = re.search(r'CHECKPOINT --cfg-options \\\n(.+?)\n```', text).group(1).split()
    checkpoint = torch.load(trained / 'run' / 'iter_6.pth', weights_only=False)
    for part, shape in (('weight', (9, 16, 1, 1)), ('bias', (9, ))):
        checkpoint['state_dict'][f'decode_heads.openearthmap.conv_seg.{part}'] = torch.zeros(shape)
    torch.save(dict(state_dict=checkpoint['state_dict']), tmp_path / 'nine.pth')
    arguments = [trained / 'moe.py', tmp_path / 'nine.pth', '--work-dir', tmp_path / 'run', '--dataset', 'openearthmap',
                 '--json', tmp_path / 'm.json', '--cfg-options']
    run('test', *arguments, *options)
    assert 'openearthmap/IoU.unknown' in json.loads((tmp_path / 'm.json').read_text())
    with pytest.raises(ValueError, match=r"test_dataloader: dataset 'openearthmap' has 8 classes .* model has 9"):
        run('test', *arguments, options[0])


@pytest.mark.parametrize('name', ['mdf_seg/mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512',
                                  'sdf/sdf_vit-b-s4p_upernet_1xb12-100e_loveda-512x512'])
def test_the_twins_train_with_a_learning_rate_for_the_batch(benchmarks, tmp_path, name):
    path = ROOT / 'configs' / f'{name}.py'
    config = small_config(tmp_path / 'twin.py', path, benchmarks, dict(train_cfg=dict(max_epochs=1)))
    run('train', config, '--work-dir', tmp_path / 'run', '--auto-scale-lr')
    assert all(np.isfinite(loss) for loss in losses(tmp_path / 'run').values())
    # 2 images of each dataset instead of 12.
    assert scalars(tmp_path / 'run')[1]['lr'] == pytest.approx(5e-5 / 6)
    assert np.isfinite(validated(tmp_path / 'run')['mean/mIoU'])


def test_the_documented_config_for_a_fifth_data_set_trains_and_tests(benchmarks, tmp_path):
    text = re.search(r'```python\n(_base_.+?)```', (ROOT / 'docs/mdf_seg.md').read_text(), re.S).group(1)
    assert 15 <= len(text.splitlines()) <= 25
    (tmp_path / 'five.py').write_text(text.replace("'./moe", f"'{ROOT}/configs/mdf_seg/moe"))
    config = small_config(tmp_path / 'small.py', tmp_path / 'five.py', benchmarks, dict(train_cfg=dict(max_epochs=1)))
    run('train', config, '--work-dir', tmp_path / 'run')
    assert all(line['fields.loss_ce'] > 0 for line in scalars(tmp_path / 'run').values())
    run('test', config, tmp_path / 'run' / 'iter_3.pth', '--work-dir', tmp_path / 'test', '--json',
        tmp_path / 'm.json', '--dataset', 'fields', 'vaihingen')
    metrics = json.loads((tmp_path / 'm.json').read_text())
    assert {'fields/IoU.hedge', 'vaihingen/mIoU', 'mean/mIoU'} <= set(metrics)

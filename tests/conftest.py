"""Fixtures that several test files share: the published values, tiny networks, hand-made batches."""
import copy
import gc
import importlib.util
import json
import zlib
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import s5_mm  # noqa: F401  registers our classes and serves mmcv.ops, so it comes before mmdet and mmrotate

# isort: split
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from running import command, config_text, forget_instances, write_config

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / 'tests' / 'golden'
LONGEST = ('test_learning', 'test_training', 'test_mdf_training', 'test_det_training', 'test_dataset_filter_hook',
           'test_export', 'test_notebooks')
TINY = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32, out_indices=(0, 1, 2, 3))


def pytest_collection_modifyitems(items):
    """Whole trainings come first, so that no process is left with one when the others are done."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def pytest_collection_finish():
    """What imports have made stays, and the many collections of the tests need not search it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope='module')
def _what_stays_is_not_searched_again():
    """Nor what a file's tests have imported, e.g. the compilers behind exports."""
    yield
    forget_instances()
    gc.freeze()


@pytest.fixture(autouse=True, scope='session')
def _config_text_is_not_formatted():
    """A runner writes its config into several files, and formatting it takes longer than tiny networks train."""
    with mock.patch.object(Config, 'pretty_text', property(config_text)):
        yield


@pytest.fixture(autouse=True)
def _mmseg_scope():
    init_default_scope('mmseg')


def fill(name, shape, seed):
    """Values of the published parameter ``name``, which depend on its name, shape and the seed alone."""
    x = np.random.RandomState(zlib.crc32(f'{seed}:{name}'.encode()) & 0x7fffffff).standard_normal(shape)
    x = x.astype(np.float32)
    if name.endswith('num_batches_tracked'):
        return torch.tensor(0)
    if name.endswith('running_var'):
        x = 1 + 0.5 * np.abs(x)
    elif name.endswith('weight') and x.ndim == 1:
        x = 1 + 0.1 * x
    elif x.ndim == 1:
        x = 0.1 * x
    else:
        x = x / np.sqrt(np.prod(shape[1:]))
    return torch.tensor(x, dtype=torch.float32)


def published(name):
    """Published values (``arrays``) with the ``weights`` and ``images`` that they were computed from."""
    told = json.loads((GOLDEN / f'{name}.json').read_text())
    arch = {**told['arch'], 'feedforward_channels': 4 * told['arch']['embed_dims']}
    side = told['img_size']
    images = np.random.RandomState(told['image_seed']).standard_normal((2, 3, side, side)).astype(np.float32)
    return SimpleNamespace(
        **{key: told[key] for key in ('part_features', 'expert_order') if key in told},
        arch=arch,
        img_size=side,
        arrays=dict(np.load(GOLDEN / f'{name}.npz')),
        weights={name: fill(name, shape, told['seed']) for name, shape in told['keys'].items()},
        images=torch.tensor(images))


@pytest.fixture(scope='session')
def golden():
    """S4P: the dense encoder and one decoder."""
    return published('s4p_tiny')


@pytest.fixture(scope='session')
def golden_mdf():
    """MoE-MDF: an encoder with experts and decoders of four datasets."""
    return published('mdf_tiny')


@pytest.fixture(scope='session')
def published_encoder(golden, tmp_path_factory):
    """File in the layout of the published ``*_s4p.pth``: the encoder alone under ``model``."""
    path = tmp_path_factory.mktemp('published') / 'tiny_s4p.pth'
    encoder = {name.removeprefix('encoder.'): value for name, value in golden.weights.items()
               if name.startswith('encoder.')}
    torch.save({'model': encoder}, path)
    return str(path)


@pytest.fixture(scope='session')
def tiny_vit():
    """Config of a very small encoder for 32 px images."""
    plain = dict(type='s5_mm.ViT', arch=TINY, img_size=32, patch_size=8, drop_path_rate=0.0)
    return lambda **kwargs: copy.deepcopy(plain) | kwargs


@pytest.fixture(scope='session')
def tiny_segmentor(tiny_vit):
    """Config of a segmentor on it, with 3 classes."""
    def build(backbone=None, **kwargs):
        return dict(
            type='EncoderDecoder',
            backbone=backbone or tiny_vit(),
            decode_head=dict(
                type='s5_mm.S5UPerHead', in_channels=[16] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=3,
                dropout_ratio=0.0, norm_cfg=dict(type='BN')),
            train_cfg={},
            test_cfg=dict(mode='whole')) | kwargs
    return build


@pytest.fixture(scope='session')
def multi_segmentor(tiny_vit, tiny_segmentor):
    """Config of a segmentor of datasets ``red`` (3 classes) and ``green`` (4), with experts of 4 channels."""
    def build(backbone=None, datasets=None, **kwargs):
        return dict(
            type='s5_mm.MultiDatasetSegmentor',
            backbone=tiny_vit(**(backbone or {})),
            experts=dict(part_features=4),
            decode_head=tiny_segmentor()['decode_head'],
            datasets=datasets or dict(red=dict(num_classes=3), green=dict(num_classes=4))) | kwargs
    return build


@pytest.fixture(scope='session')
def make_sample():
    """A data sample of a source; ``mask`` is an (H, W) array of ids, ``None`` for none."""
    def make(source, mask):
        metainfo = dict(img_shape=(32, 32), pad_shape=(32, 32), ori_shape=(32, 32))
        sample = SegDataSample(metainfo=metainfo if source is None else dict(metainfo, dataset_name=source))
        if mask is not None:
            sample.gt_sem_seg = PixelData(data=torch.as_tensor(mask, dtype=torch.int64)[None])
        return sample
    return make


@pytest.fixture(scope='session')
def load_tool():
    """The module of a command-line tool, given its path in the repository."""
    def load(path):
        spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    return load


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """Labeled crops and an unlabeled pool with one truncated image."""
    root = tmp_path_factory.mktemp('data')
    synthetic = command('data_prep/synthetic.py')
    synthetic(['isaid', str(root / 'raw'), '--train', '8', '--val', '2', '--size', '128'])
    synthetic(['unlabeled', str(root / 'unlabeled'), '--num', '8', '--size', '128'])
    command('data_prep/isaid.py')(
        [str(root / 'raw'), str(root / 'isaid'), '--patch', '128', '--gap', '0', '--crop', '128', '--workers', '1']
    )
    image = sorted((root / 'unlabeled').rglob('*.jpg'))[0]
    image.write_bytes(image.read_bytes()[:200])
    return root


@pytest.fixture
def train(data, tmp_path):
    """Run tools/train.py on a config; gives the work dir."""

    def run(config, *arguments, work_dir='run', iters=2, workers=0, **options):
        config = write_config(tmp_path / f'{work_dir}.py', config, data, iters, workers, options)
        forget_instances()
        command('tools/train.py')([str(config), '--work-dir', str(tmp_path / work_dir), *arguments])
        return tmp_path / work_dir

    return run

"""Benchmarks of land cover: the rule of the ids on disk decides, and what it cannot mean is an error."""
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from s5_mm.datasets import OpenEarthMapDataset, S5ISPRSDataset, S5LoveDADataset
from s5_mm.registry import DATASETS

CONFIGS = Path(__file__).parents[2] / 'configs'
SERVER = 'mdf_seg/moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-loveda-server-512x512.py'
BENCHMARKS = ('potsdam', 'vaihingen', 'loveda', 'openearthmap')
PIPELINE = [{'type': 's5_mm.LoadLabels'}]


def build(cls, root, ids, **kwargs):
    """A dataset of one pair, whose mask is one row of ``ids``."""
    suffix = '.tif' if cls is OpenEarthMapDataset else '.png'
    for folder, array in (('img', np.zeros((1, len(ids), 3), np.uint8)), ('ann', np.array([ids], np.uint8))):
        (root / folder).mkdir(exist_ok=True)
        Image.fromarray(array).save(root / folder / f'0{suffix}')
    return cls(data_root=str(root), data_prefix={'img_path': 'img', 'seg_map_path': 'ann'}, pipeline=PIPELINE, **kwargs)


@pytest.mark.parametrize(('cls', 'rule', 'on_disk', 'in_memory'), [
    (S5ISPRSDataset, 'mmseg', [0, 1, 2, 3, 4, 5, 6], [255, 0, 1, 2, 3, 4, 255]),
    (S5ISPRSDataset, 'published', [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 255]),
    (S5LoveDADataset, 'mmseg', [0, 1, 2, 3, 4, 5, 6, 7], [255, 0, 1, 2, 3, 4, 5, 6]),
    (OpenEarthMapDataset, 'mmseg', [0, 1, 2, 3, 4, 5, 6, 7, 8], [255, 0, 1, 2, 3, 4, 5, 6, 7]),
    (OpenEarthMapDataset, 'published', [0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 1, 2, 3, 4, 5, 6, 7, 8]),
])
def test_rules(tmp_path, cls, rule, on_disk, in_memory):
    dataset = build(cls, tmp_path, on_disk, label_rule=rule)
    assert dataset[0]['gt_seg_map'].tolist() == [in_memory]
    counted = len({*in_memory} - {255})
    assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == counted


@pytest.mark.parametrize('cls', [S5ISPRSDataset, S5LoveDADataset, OpenEarthMapDataset])
def test_default_rule_is_that_of_mmseg(tmp_path, cls):
    assert build(cls, tmp_path, [0, 1, 2, 3, 4, 5])[0]['gt_seg_map'].tolist() == [[255, 0, 1, 2, 3, 4]]


@pytest.mark.parametrize(('cls', 'rule', 'wrong', 'allowed'), [
    (S5ISPRSDataset, 'mmseg', 7, '1..5, and 0, 6, 255 (ignored)'),
    (S5ISPRSDataset, 'published', 6, '0..4, and 5, 255 (ignored)'),
    (S5LoveDADataset, 'mmseg', 8, '1..7, and 0, 255 (ignored)'),
    (OpenEarthMapDataset, 'mmseg', 9, '1..8, and 0, 255 (ignored)'),
    (OpenEarthMapDataset, 'published', 9, '0..8, and 255 (ignored)'),
])
def test_impossible_ids_name_file_id_and_rule(tmp_path, cls, rule, wrong, allowed):
    message = f"0{'.tif' if cls is OpenEarthMapDataset else '.png'} holds the ids [{wrong}]; allowed under " \
              f"label_rule='{rule}' are {allowed}"
    with pytest.raises(ValueError, match=re.escape(message)):
        build(cls, tmp_path, [1, 2, wrong], label_rule=rule)
    lazy = build(cls, tmp_path, [1, 2, wrong], label_rule=rule, num_checked=0)
    with pytest.raises(ValueError, match=re.escape(message)):
        lazy[0]


def test_wrong_rules(tmp_path):
    with pytest.raises(ValueError, match="`label_rule` is 'ours'; allowed in S5ISPRSDataset: mmseg, published"):
        build(S5ISPRSDataset, tmp_path, [1], label_rule='ours')
    message = ("label_rule='published' of S5ISPRSDataset means reduce_zero_label=False, but reduce_zero_label=True is "
               'given; leave it out, or choose another rule: mmseg, published')
    with pytest.raises(ValueError, match=message):
        build(S5ISPRSDataset, tmp_path, [1], label_rule='published', reduce_zero_label=True)
    assert len(build(S5ISPRSDataset, tmp_path, [1], reduce_zero_label=True)) == 1


@pytest.fixture
def warned(monkeypatch):
    """Texts of the warnings that building a dataset gives."""
    texts = []
    monkeypatch.setattr('s5_mm.datasets.segmentation.print_log',
                        lambda text, _, level=logging.INFO: level == logging.WARNING and texts.append(text))
    return texts


def test_a_rule_that_fits_by_its_ids_alone_is_warned_of(tmp_path, warned):
    classes = [1, 2, 3, 4, 5]
    build(S5ISPRSDataset, tmp_path, [0] * 3 + classes + [1] * 2)
    assert re.search("30% of the pixels of 1 of 1 .* label_rule='mmseg' but another one .published., every",
                     warned.pop())
    build(S5LoveDADataset, tmp_path, [0] * 3 + classes + [6, 7])  # knows one rule alone
    assert 'if 0 is a class in the masks, set reduce_zero_label=False' in warned.pop()
    build(S5ISPRSDataset, tmp_path, [0] * 2 + classes + [1] * 3)
    assert not warned


def test_clutter_as_a_class(tmp_path):
    dataset = build(S5ISPRSDataset, tmp_path, [0, 1, 6], metainfo={'classes': S5ISPRSDataset.METAINFO['classes']})
    assert dataset[0]['gt_seg_map'].tolist() == [[255, 0, 5]]
    assert dataset.metainfo['palette'][5] == [255, 0, 0]


def test_own_colors_keep_the_classes_of_the_rule(tmp_path):
    dataset = build(S5ISPRSDataset, tmp_path, [1, 6], metainfo={'palette': [[9, 9, 9]] * 5})
    assert dataset.metainfo['classes'] == S5ISPRSDataset.METAINFO['classes'][:5]
    assert dataset[0]['gt_seg_map'].tolist() == [[0, 255]]


class TestConfigs:

    @pytest.fixture
    def together(self):
        return Config.fromfile(CONFIGS / '_base_/datasets/landcover4.py')

    @pytest.mark.parametrize(('name', 'classes'), zip(BENCHMARKS, (5, 5, 7, 8), strict=True))
    def test_training_and_validation(self, together, tmp_path, name, classes):
        init_default_scope('mmseg')
        train, val = together.train_dataloader.dataset.sources[name], together.val_dataloader[name].dataset
        for split in ('train', 'val'):
            for kind, array in (('img', np.full((48, 64, 3), 90, np.uint8)), ('ann', np.full((48, 64), 2, np.uint8))):
                folder = tmp_path / f'{kind}_dir' / split
                folder.mkdir(parents=True)
                Image.fromarray(array).save(folder / ('a.tif' if name == 'openearthmap' else 'a.png'))
        for config, kind in ((train, 'train'), (val, 'val')):
            dataset = DATASETS.build({**config, 'data_root': str(tmp_path)})
            assert f'{kind}/a' in dataset.get_data_info(0)['img_path']
            assert len(dataset.metainfo['classes']) == classes
            sample = dataset[0]
            assert sample['data_samples'].gt_sem_seg.data.unique().tolist() == [1]
            assert sample['inputs'].shape[1:] == sample['data_samples'].gt_sem_seg.data.shape[1:]
        assert val.test_mode
        assert together.val_evaluator[name][0].iou_metrics == ['mIoU', 'mFscore']

    def test_augmentation_is_a_function_of_the_seed(self, together, tmp_path):
        from s5_mm.randomness import seeded
        init_default_scope('mmseg')
        build(S5ISPRSDataset, tmp_path, [1, 2, 3] * 30)
        Image.fromarray(np.random.RandomState(0).randint(0, 256, (60, 90, 3), np.uint8)).save(tmp_path / 'img/0.png')
        Image.fromarray(np.random.RandomState(1).randint(1, 6, (60, 90), np.uint8)).save(tmp_path / 'ann/0.png')
        pipeline = [step if step['type'] != 'RandomCrop' else {'type': 'RandomCrop', 'crop_size': (32, 32)}
                    for step in together.train_pipeline]
        dataset = S5ISPRSDataset(data_root=str(tmp_path), pipeline=pipeline,
                               data_prefix={'img_path': 'img', 'seg_map_path': 'ann'})

        def draw(seed):
            with seeded(seed):
                return dataset[0]['inputs'].numpy().tobytes()
        assert [draw(seed) for seed in range(6)] == [draw(seed) for seed in range(6)]
        assert len({draw(seed) for seed in range(6)}) == 6

    def test_turns_and_flips_reach_all_eight_positions_alike(self, together):
        from mmengine.dataset import Compose

        from s5_mm.randomness import seeded
        init_default_scope('mmseg')
        steps = [step for step in together.train_pipeline if step['type'] in ('RandomFlip', 'RandomRotFlip')]
        turn, image, seen = Compose(steps), np.arange(4, dtype=np.uint8).reshape(2, 2), []
        for seed in range(800):
            with seeded(seed):
                seen.append(turn({'img': image, 'seg_fields': []})['img'].tobytes())
        # 100 of each expected, standard deviation 9.4.
        assert len(set(seen)) == 8
        assert all(65 < seen.count(position) < 135 for position in set(seen))

    def test_lists_and_unlabeled_images(self, tmp_path):
        config = Config.fromfile(CONFIGS / SERVER)
        init_default_scope('mmseg')
        for kind, split in (('img', 'train'), ('ann', 'train'), ('img', 'val'), ('ann', 'val'), ('img', 'test')):
            (tmp_path / f'{kind}_dir' / split).mkdir(parents=True)
            array = np.full((40, 40, 3), 5, np.uint8) if kind == 'img' else np.full((40, 40), 7, np.uint8)
            Image.fromarray(array).save(tmp_path / f'{kind}_dir' / split / f'{len(split)}.png')
        (tmp_path / 'lists').mkdir()
        (tmp_path / 'lists/trainval.txt').write_text('train/5\nval/3\n')
        both = DATASETS.build({**config.train_dataloader.dataset.sources.loveda, 'data_root': str(tmp_path)})
        assert [both.get_data_info(i)['img_path'][-11:] for i in range(2)] == ['train/5.png', 'r/val/3.png']
        test = DATASETS.build({**config.test_dataloader.loveda.dataset, 'data_root': str(tmp_path)})
        assert len(test) == 1
        assert 'gt_sem_seg' not in test[0]['data_samples']

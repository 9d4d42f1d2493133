"""Tiny scenes with rotated rectangles whose color tells their class, in the files of the benchmarks.

What a network that works learns in a minute on a CPU, and a broken one does not.
"""
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from running import dicts_in, load_in_this_process

SIDE = 64
LAND_COVER = dict(vaihingen='.png', potsdam='.png', loveda='.png', openearthmap='.tif')
COLORS = ((220, 60, 50), (50, 90, 230), (240, 220, 60))


def draw_scene(seed, num_classes=3, objects=3):
    """An image (SIDE, SIDE, 3), its ids (SIDE, SIDE), 0 for background, and [(class from 0, corners (4, 2))]."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 130, (SIDE, SIDE, 3)).astype(np.uint8)
    ids = np.zeros((SIDE, SIDE), np.uint8)
    boxes = []
    # A cell of a 2 x 2 grid each, so that rectangles do not cover each other.
    for number, cell in enumerate(rng.permutation(4)[:objects]):
        kind = (seed + number) % num_classes
        center = np.array([cell % 2, cell // 2]) * SIDE / 2 + SIDE / 4 + rng.uniform(-2, 2, 2)
        size = (rng.uniform(20, 26), rng.uniform(9, 13))
        corners = cv2.boxPoints((center.tolist(), size, rng.uniform(0, 180))).round()
        cv2.fillConvexPoly(image, corners.astype(np.int32), COLORS[kind])
        cv2.fillConvexPoly(ids, corners.astype(np.int32), kind + 1)
        boxes.append((kind, corners))
    return image, ids, boxes


def write(path, array, times=1):
    """Each pixel of an image (H, W) or (H, W, 3) becomes ``times`` times as wide and high."""
    array = array.repeat(times, axis=0).repeat(times, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_segmentation(root: Path, number, ids, suffix='.png', seed=0, times=1):
    """The same scenes for training and validation; ``ids`` are those of background and the classes."""
    for i in range(number):
        image, drawn, _ = draw_scene(seed + i)
        for split in ('train', 'val'):
            write(root / 'img_dir' / split / f'{i}{suffix}', image, times)
            write(root / 'ann_dir' / split / f'{i}{suffix}', np.array(ids, np.uint8)[drawn], times)


def write_dior_r(root: Path, number, names=('ship', 'vehicle', 'bridge'), seed=100):
    """The same scenes for training and testing, as ``data_prep/dior_r.py`` leaves them."""
    corners = ('left_top', 'right_top', 'right_bottom', 'left_bottom')
    listed = []
    for i in range(number):
        image, _, boxes = draw_scene(seed + i)
        name = f'{i + 1:05d}'
        listed.append(f'{name}\n')
        for split in ('trainval', 'test'):
            write(root / f'JPEGImages-{split}' / f'{name}.jpg', image)
        objects = ''.join(
            f'<object><name>{names[kind]}</name><robndbox>' + ''.join(
                f'<x_{corner}>{x:.0f}</x_{corner}><y_{corner}>{y:.0f}</y_{corner}>'
                for corner, (x, y) in zip(corners, box, strict=True)) + '</robndbox></object>'
            for kind, box in boxes)
        path = root / 'Annotations/Oriented Bounding Boxes' / f'{name}.xml'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'<annotation><size><width>{SIDE}</width><height>{SIDE}</height></size>{objects}</annotation>')
    for split in ('trainval', 'test'):
        path = root / 'ImageSets/Main' / f'{split}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(''.join(listed))


def write_dota(root: Path, number, names=('plane', 'ship', 'harbor'), seed=200):
    """The same scenes for training and validation, each an image of one patch, as ``data_prep/dota.py`` leaves them."""
    for i in range(number):
        image, _, boxes = draw_scene(seed + i)
        lines = ''.join(
            ' '.join(f'{value:.1f}' for value in box.ravel()) + f' {names[kind]} 0\n' for kind, box in boxes)
        patch = f'P{i:04d}__{SIDE}__0___0'
        for split in ('train', 'val'):
            write(root / 'patches' / split / 'images' / f'{patch}.png', image)
        for folder, name in (('patches/train', patch), ('patches/val', patch), ('val', f'P{i:04d}')):
            path = root / folder / 'labelTxt' / f'{name}.txt'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(lines)


def write_all(root: Path, number, times=1):
    """Labeled scenes in the files of every benchmark, ``times`` as large for segmentation, and unlabeled ones."""
    write_segmentation(root / 'isaid', number, ids=(0, 3, 4, 6), times=times)
    for i in range(2 * number):
        write(root / 'unlabeled' / f'{i}.png', draw_scene(500 + i)[0], times)
    for seed, (name, suffix) in enumerate(LAND_COVER.items(), start=1):
        write_segmentation(root / name, number, ids=(1, 2, 3, 4), suffix=suffix, seed=1000 * seed, times=times)
    write_dior_r(root / 'dior_r', number)
    write_dota(root / 'dota', number)


def use_scenes(cfg, root: Path, side, steps, batch):
    """Let a quickstart config train from random weights on the scenes, and test on them.

    Args:
        cfg: Changed in place.
        root: Their folder.
        side: Of crops and resized images, in pixels.
        steps: Optimizer steps.
        batch: Images of each source or dataset in a step.
    """
    load_in_this_process(cfg._cfg_dict)
    for node in dicts_in(cfg._cfg_dict):
        for key in ('data_root', 'ann_dir', 'source'):
            if node.get(key):
                node[key] = node[key].replace('data/quickstart', str(root))
        for key in ('crop_size', 'scale'):
            if key in node:
                node[key] = (side, side)
    sources = cfg.train_dataloader.dataset.sources
    cfg.train_dataloader.batch_size = batch * len(sources)
    cfg.train_dataloader.sampler.per_batch = dict.fromkeys(sources, batch)
    cfg.model.get('segmentor', cfg.model).init_cfg = None
    cfg.param_scheduler[1].end = cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = steps
    cfg.default_hooks.checkpoint.interval = steps
    cfg.randomness = dict(seed=0)

"""Four synthetic land-cover datasets and the ways to train on them, which quickstart and gain benchmark share.

Every way sees the same crops of each dataset: eight a step. SDF is one network a dataset, MDF one network with a
decoder for each, MoE-MDF has an expert for each besides.
"""

import statistics
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from synthetic_task import SIZE, make_benchmark, test, train

from s5_mm.registry import MODELS

# Meters per pixel are brought to about those of the S4P scenes; few large tiles where the benchmark has few.
SCENES = {
    'vaihingen': dict(size=384, coarser=5, train=16, val=17),
    'potsdam': dict(size=384, coarser=8, train=24, val=14),
    'loveda': dict(size=SIZE, coarser=2, train=300, val=150, test=0),
    'openearthmap': dict(size=SIZE, coarser=1.5, train=300, val=150),
}
CROPPED = ('vaihingen', 'potsdam')
CONFIG = 'configs/quickstart/{}_vit-t_upernet_{}-96x96.py'
WAYS = {
    **{f'sdf_{name}': CONFIG.format('sdf', name) for name in SCENES},
    'mdf': CONFIG.format('mdf', 'landcover4'),
    'moe-mdf': CONFIG.format('moe-mdf', 'landcover4'),
}


def make_landcover(logs: Path) -> None:
    """Write the four datasets in the files of their benchmarks and prepare them; what exists is kept.

    Args:
        logs: Folder for the commands' output.
    """
    for seed, (name, scenes) in enumerate(SCENES.items(), start=10):
        strides = dict(crop=SIZE, train_stride=SIZE, val_stride=SIZE) if name in CROPPED else {}
        make_benchmark(name, scenes, strides, seed, logs)


def run_ways(work_dir: Path, jobs: int, **options: object) -> dict[str, dict[str, float]]:
    """Train and test all ways; finished ones are kept.

    Args:
        work_dir: Where the runs go.
        jobs: Runs side by side.
        options: ``cfg-options`` of each, with ``__`` for the dots.

    Returns:
        ``'sdf'``, ``'mdf'``, ``'moe-mdf'`` -> mIoU of each dataset in per cent.
    """
    with ThreadPoolExecutor(jobs) as pool:
        # The long ones first, so that no core waits for the last.
        names = list(WAYS)[::-1]
        metrics = dict(zip(names, pool.map(partial(_run_way, work_dir, options), names), strict=True))
    scores = {name: {key: metrics[name][f'{key}/mIoU'] for key in SCENES} for name in ('mdf', 'moe-mdf')}
    return {'sdf': {key: metrics[f'sdf_{key}'][f'{key}/mIoU'] for key in SCENES}, **scores}


def _run_way(work_dir: Path, options: dict[str, object], name: str) -> dict[str, float]:
    checkpoint = train(WAYS[name], work_dir / name, **options)
    return test(WAYS[name], checkpoint, work_dir / f'{name}_test', **options)


def count_parameters() -> dict[str, int]:
    """Parameters of ``'sdf'`` (the four networks together), ``'mdf'`` and ``'moe-mdf'``."""
    init_default_scope('mmseg')
    counts = {}
    for name, config in WAYS.items():
        model = MODELS.build(Config.fromfile(config).model)
        way = name.split('_')[0]
        counts[way] = counts.get(way, 0) + sum(parameter.numel() for parameter in model.parameters())
    return counts


def mean_scores(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    """Mean over the datasets of each way."""
    return {way: round(statistics.mean(each.values()), 2) for way, each in scores.items()}

"""Rotated detection on two synthetic datasets, the last part of the quickstart."""

from pathlib import Path

import numpy as np
from commands import run_command
from PIL import Image, ImageOps
from synthetic_task import CLASSES, DATA, LABELED_STYLES, make_benchmark, test, train

from s5_mm.files import replacing

CONFIG = 'configs/quickstart/moe-mdf_vit-t_oriented-rcnn_dior-dota-128x128.py'
SIZE, GAP = 128, 32
SCENES = {
    'dior_r': dict(size=SIZE, train=300, val=100, test=100),
    # Whole images of four patches each.
    'dota': dict(size=2 * SIZE - GAP, train=120, val=40, test=0),
}
PREPARED = {'dior_r': {}, 'dota': dict(size=SIZE, gap=GAP)}
NAMES = ('dior', 'dota')


def make_detection(logs: Path) -> None:
    """Write both datasets in the files of their benchmarks and prepare them; what exists is kept.

    Args:
        logs: Folder for the commands' output.
    """
    for seed, (name, scenes) in enumerate(SCENES.items(), start=20):
        content = dict(classes=CLASSES, styles=LABELED_STYLES, coarser=2)
        make_benchmark(name, scenes | content, PREPARED[name], seed, logs)


def run_detection(work_dir: Path, **options: object) -> dict[str, float]:
    """Train and test one network for both; a finished run is kept.

    Args:
        work_dir: Where the run goes; detections are in ``detection_test/ids/NAME/detections.npz`` there.
        options: ``cfg-options``, with ``__`` for the dots.

    Returns:
        mAP of each dataset in per cent.
    """
    checkpoint = train(CONFIG, work_dir / 'detection', **options)
    metrics = test(CONFIG, checkpoint, work_dir / 'detection_test', **options)
    return {name: metrics[f'{name}/mAP'] for name in NAMES}


def draw_detections(work_dir: Path, out: Path, columns: int = 4, side: int = 300) -> None:
    """Curves and drawn boxes of both datasets, and one picture with some of each, a row a dataset.

    Args:
        work_dir: That of :func:`run_detection`.
        out: PNG file to write.
        columns: Images of each dataset.
        side: Of each image in the picture, in pixels.
    """
    rows = []
    for name in NAMES:
        folder = work_dir / 'detection_test' / name
        images = ['--images', DATA / 'dota/val/images'] if name == 'dota' else []
        run_command('tools/analysis/detections.py', work_dir / f'detection_test/ids/{name}/detections.npz', *images,
                    out=folder, draw=columns, log=work_dir / 'logs' / f'detections_{name}.log')
        drawn = sorted((folder / 'drawn').glob('*.png'))[:columns]
        tiles = [ImageOps.pad(Image.open(path).convert('RGB'), (side, side), color='white') for path in drawn]
        rows.append(np.hstack(list(map(np.asarray, tiles))))
    with replacing(out) as temporary:
        Image.fromarray(np.vstack(rows)).save(temporary, format='PNG')

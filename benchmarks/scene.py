"""Memory and speed of predicting a huge scene: 4 bands, 16 bits, a border without data, stopped twice on the way.

Reported are the growth of the process above that with the model loaded, windows in a second against the bare forward
of the same batches, whether the pixels equal those of an undisturbed run on the scene's first rows, and whether pixels
without data stayed so. The network is ViT-T + UperNet of random weights; with --network linear a classifier of single
pixels, for the memory alone.
"""
import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import s5_mm  # noqa: F401  first: it chooses how threads wait and gives mmrotate operators

# isort: split
import numpy as np
import rasterio
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models import SegDataPreProcessor
from rasterio.transform import from_origin
from torch import Tensor, nn

from s5_mm.files import write_json
from s5_mm.models.segmentors.image_metas import image_metas
from s5_mm.radiometry import Radiometry, Stretch
from s5_mm.registry import MODELS
from s5_mm.scenes import SceneModel, SegmentationSettings, segment
from s5_mm.scenes.grid import Grid
from s5_mm.scenes.segmentation import class_probabilities

CONFIG = Path(__file__).parents[1] / 'configs/quickstart/supervised_vit-t_upernet_synthetic-96x96.py'
RADIOMETRY = Radiometry(('red', 'green', 'blue'), Stretch(value_range=(0, 10_000)))
BORDER = 0.1
"""Share of each side that has no data."""
GOAL_MB, GOAL_SPEED = 500, 0.9


class Pixels(nn.Module):
    """16 classes of single pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.data_preprocessor = SegDataPreProcessor(mean=[127.0] * 3, std=[50.0] * 3)
        self.backbone = nn.Identity()
        self.classifier = nn.Conv2d(3, 16, 1)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits."""
        return self.classifier(inputs)


class Counted(nn.Module):
    """A network that counts its windows and stops after some.

    Attributes:
        windows: Predicted so far.
        stop: Number of windows, after which a ``KeyboardInterrupt`` is raised.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.windows, self.stop = network, 0, None
        self.data_preprocessor, self.backbone = network.data_preprocessor, network.backbone

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits."""
        if self.stop is not None and self.windows >= self.stop:
            raise KeyboardInterrupt
        self.windows += len(inputs)
        return self.network.encode_decode(inputs, image_metas(inputs))


def build(kind: str, window: int) -> SceneModel:
    """The model, with random weights."""
    torch.manual_seed(0)
    init_default_scope('mmseg')
    network = Pixels() if kind == 'linear' else MODELS.build(Config.fromfile(CONFIG).model)
    names = tuple(f'class {index}' for index in range(16))
    palette = tuple((16 * index, 255 - 16 * index, 128) for index in range(16))
    return SceneModel(Counted(network).eval(), names, palette, radiometry=RADIOMETRY, window=window, name=kind)


def make_scene(path: Path, height: int, size: int) -> None:
    """Write the first rows of a scene of ``size`` px a side, block by block."""
    rng = np.random.default_rng(0)
    tile = np.cumsum(np.cumsum(rng.normal(0, 1, (4, 512, 512)), axis=1), axis=2)
    tile = (tile - tile.min()) / (tile.max() - tile.min()) * 10_000 + rng.integers(1, 300, tile.shape)
    tile = tile.astype(np.uint16).clip(1)
    low, high = int(size * BORDER), int(size * (1 - BORDER))
    options = dict(driver='GTiff', height=height, width=size, count=4, dtype='uint16', nodata=0, tiled=True,
                   blockxsize=512, blockysize=512, compress='deflate', zlevel=1, bigtiff='if_safer', crs='EPSG:32633',
                   transform=from_origin(5e5, 5e6, 1, 1))
    with rasterio.Env(GDAL_CACHEMAX=64 << 20), rasterio.open(path, 'w', **options) as file:
        file.descriptions = ('blue', 'green', 'red', 'nir')
        for top in range(0, height, 512):
            rows = np.tile(tile, (1, 1, -(-size // 512)))[:, :min(512, height - top), :size].copy()
            inside = np.zeros(rows.shape[1:], bool)
            inside[max(low - top, 0):max(high - top, 0), low:high] = True
            file.write(rows * inside, window=((top, top + len(inside)), (0, size)))


def timed(function: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def memory(field: str) -> int:
    """Memory of this process in KiB, by a field of Linux."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f'{field}:'))


def main(argv: list[str] | None = None) -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=40_000, help='side of the scene in px (default: %(default)s)')
    parser.add_argument('--height', type=int, help='predict the first rows of the scene only (default: all)')
    parser.add_argument('--window', type=int, default=512, help='side of a window in px (default: %(default)s)')
    parser.add_argument('--overlap', type=int, help='of windows, in px (default: half a window)')
    parser.add_argument('--batch-size', type=int, default=4, help='windows in a forward (default: %(default)s)')
    parser.add_argument('--network', choices=['tiny', 'linear'], default='tiny', help='(default: %(default)s)')
    parser.add_argument('--rows', type=int, default=6144, help='first rows that are compared (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/scene'), help='must be empty at the start')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/scene.json'), help='JSON to write')
    parser.add_argument('--make', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.make:
        make_scene(Path(args.make[0]), int(args.make[1]), args.size)
        return
    args.work_dir.mkdir(parents=True, exist_ok=True)
    scene, head = args.work_dir / 'scene.tif', args.work_dir / 'head.tif'
    args.height = args.height or args.size
    # In processes of their own, whose memory does not count.
    for path, height in ((scene, args.height), (head, min(args.rows, args.height))):
        subprocess.run([sys.executable, __file__, '--size', str(args.size), '--make', str(path), str(height)],
                       check=True)
    result = measure(args, scene, head)
    result |= dict(machine=f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores', date=str(date.today()),
                   width=args.size, height=args.height, window=args.window, network=args.network,
                   threads=torch.get_num_threads())
    write_json(args.out, result)
    for name, value in result.items():
        print(f'{name}: {value}')
    if result['growth_mb'] > GOAL_MB or not result['equal'] or result['classified_nodata'] or (
            args.network == 'tiny' and result['speed'] < GOAL_SPEED):
        raise SystemExit(f'A goal is missed: at most {GOAL_MB} MB, a speed of {GOAL_SPEED} of the bare forward, equal '
                         'pixels, and no class where there are no data.')


def measure(args: argparse.Namespace, scene: Path, head: Path) -> dict:
    """Predict the scene, stopped twice, and its first rows."""
    model = build(args.network, args.window)
    settings = SegmentationSettings(overlap=args.overlap, batch_size=args.batch_size, confidence=True)
    images = np.random.default_rng(0).integers(0, 255, (args.batch_size, 3, args.window, args.window), dtype=np.uint8)
    class_probabilities(model, images, settings)
    bare = timed(lambda: [class_probabilities(model, images, settings) for _ in range(20)]) / 20 / args.batch_size
    grid = Grid((args.height, args.size), args.window, settings.completed(model).overlap)
    rows = min(args.height, args.size * (1 - BORDER)) - args.size * BORDER
    expected = len(grid.tops) * rows / args.height * len(grid.lefts) * (1 - 2 * BORDER)
    # The highest resident memory counts from here: that of the imports may be above it.
    Path('/proc/self/clear_refs').write_text('5')
    before = memory('VmRSS')
    model.network.windows, seconds = 0, 0.0
    for stop in (expected / 3, expected * 2 / 3, None):
        model.network.stop = stop
        start = time.perf_counter()
        try:
            found = segment(model, scene, args.work_dir / 'whole', settings)
        except KeyboardInterrupt:
            print(f'stopped after {model.network.windows} windows')
        seconds += time.perf_counter() - start
    growth = memory('VmHWM') - before
    predicted = model.network.windows
    first = segment(model, head, args.work_dir / 'first', settings)
    # The last line of windows of the first rows is another one.
    common = min(args.rows, args.height) - args.window
    return dict(growth_mb=round(growth / 1024), windows=predicted, windows_a_second=round(predicted / seconds, 2),
                speed=round(predicted * bare / seconds, 3), equal=bool(np.array_equal(
                    read(found.classes, common), read(first.classes, common))),
                classified_nodata=int((read(found.classes, int(args.size * BORDER)) != 255).sum()))


def read(path: Path, rows: int) -> np.ndarray:
    """The first rows of a raster."""
    with rasterio.open(path) as file:
        return file.read(1, window=((0, min(rows, file.height)), (0, file.width)))


if __name__ == '__main__':
    main()

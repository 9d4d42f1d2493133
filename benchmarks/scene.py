"""Prediction of a huge scene: memory, speed, kills, files, and what is seen of its windows.

The scene has 4 bands of 16 bits and a border without data. The command that predicts it is killed (SIGKILL) at one and
at two thirds, and repeated. Reported are

- ``growth_mb``: the highest resident memory of a process above that after its imports, over all of them,
- ``speed``: windows in a second against the bare forward of the same batches on tensors that are ready,
- ``equal``: whether the files equal those of an undisturbed run; with --rows only the first rows are predicted again,
- ``cog``: whether the file has the structure that GDAL's validator of Cloud Optimized GeoTIFF asks for,
- ``classified_nodata``: pixels of the border that got a class.

The network is ViT-T + UperNet of random weights; with --network linear a classifier of single pixels, for the memory
alone. The trained network of the quickstart and a drawn scene show how far windows are seen in a map:

- ``seams``: how often the class changes from a pixel to the next where a window begins or ends, against elsewhere,
- ``shifted_agreement``: share of pixels with the same class if all windows begin elsewhere.
"""
import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import s5_mm  # noqa: F401  first: it chooses how threads wait and gives mmrotate operators

# isort: split
import numpy as np
import rasterio
import torch
from commands import ROOT, run_command
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models import SegDataPreProcessor
from PIL import Image
from rasterio.transform import from_origin
from torch import Tensor, nn

from s5_mm.files import write_json
from s5_mm.models.segmentors.image_metas import image_metas
from s5_mm.radiometry import Radiometry, Stretch
from s5_mm.registry import MODELS
from s5_mm.scenes import SceneModel, SegmentationSettings, load_model, segment
from s5_mm.scenes.grid import Grid

CONFIG = ROOT / 'configs/quickstart/start_vit-t_upernet_synthetic-96x96.py'
CHECKPOINT = ROOT / 'configs/quickstart/start.safetensors'
RADIOMETRY = Radiometry(('red', 'green', 'blue'), Stretch(value_range=(0, 10_000)))
BORDER = 0.1
"""Share of each side that has no data."""
SHIFT = 40
GOALS = dict(growth_mb=500, speed=0.9, seams=1.05, shifted_agreement=0.99)


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
    """A network that counts its windows.

    Attributes:
        windows: Predicted so far.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.windows = network, 0
        self.data_preprocessor, self.backbone = network.data_preprocessor, network.backbone

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits."""
        self.windows += len(inputs)
        return self.network.encode_decode(inputs, image_metas(inputs))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=40_000, help='side of the scene in px (default: %(default)s)')
    parser.add_argument('--window', type=int, default=256, help='side of a window in px (default: %(default)s)')
    parser.add_argument('--overlap', type=int, help='of windows, in px (default: half a window)')
    parser.add_argument('--batch-size', type=int, help="windows in a forward (default: prediction's)")
    parser.add_argument('--network', choices=['tiny', 'linear'], default='tiny', help='(default: %(default)s)')
    parser.add_argument('--rows', type=int, help='first rows that are compared (default: all)')
    parser.add_argument('--seam-size', type=int, default=1500, help='side of the drawn scene (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/scene'), help='must be empty')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/scene.json'), help='JSON to write')
    parser.add_argument('--make', nargs=2, help=argparse.SUPPRESS)
    parser.add_argument('--predict', nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


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


def memory(field: str, process: int | str = 'self') -> int:
    """Memory of a process in KiB, by a field of Linux."""
    lines = Path(f'/proc/{process}/status').read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f'{field}:')), 0)


def settings_of(args: argparse.Namespace) -> SegmentationSettings:
    """How the scene is predicted."""
    return SegmentationSettings(overlap=args.overlap, batch_size=args.batch_size, confidence=True)


@torch.inference_mode()
def bare_seconds(model: SceneModel, batch_size: int) -> float:
    """Time of a window in a forward of a batch that is ready."""
    inputs = torch.rand(batch_size, 3, model.window, model.window)
    model.network.encode_decode(inputs, [])
    return timed(lambda: [model.network.encode_decode(inputs, []) for _ in range(10)]) / 10 / batch_size


def predict(args: argparse.Namespace, scene: str, out: str, report: str) -> None:
    """Predict a scene in this process and report memory after the imports, at last speed and the highest memory."""
    # The highest resident memory counts from here: that of the imports may be above it.
    Path('/proc/self/clear_refs').write_text('5')
    imports = memory('VmRSS')
    write_json(Path(report), dict(imports=imports))
    model = build(args.network, args.window)
    batch_size = settings_of(args).completed(model).batch_size
    before = bare_seconds(model, batch_size)
    model.network.windows = 0
    seconds = timed(lambda: segment(model, scene, out, settings_of(args)))
    windows, peak = model.network.windows, memory('VmHWM')
    bare = (before + bare_seconds(model, batch_size)) / 2
    write_json(Path(report), dict(imports=imports, peak=peak, windows=windows, seconds=seconds, bare=bare))


def started(args: argparse.Namespace, *task: object) -> subprocess.Popen:
    """This script in another process."""
    given = [(f'--{name}', value) for name, value in (('overlap', args.overlap), ('batch-size', args.batch_size))
             if value is not None]
    command = [sys.executable, '-W', 'ignore', __file__, '--size', args.size, '--window', args.window, '--network',
               args.network, *(word for pair in given for word in pair), *task]
    return subprocess.Popen([*map(str, command)])


def predicted(args: argparse.Namespace, scene: Path, out: Path, kill_at: int | None = None) -> dict:
    """Predict in a process of its own; kill it as soon as so many parts are there.

    Returns:
        What it reported, and the highest memory that was seen of it.
    """
    report = args.work_dir / 'report.json'
    report.unlink(missing_ok=True)
    process, parts, peak = started(args, '--predict', scene, out, report), out / f'{scene.stem}.parts', 0
    while process.poll() is None:
        time.sleep(0.1)
        if report.exists():
            peak = max(peak, memory('VmHWM', process.pid))
        if kill_at is not None and len([*parts.glob('*.npz')]) >= kill_at:
            process.send_signal(signal.SIGKILL)
            process.wait()
            print(f'killed when {kill_at} parts were there')
    if kill_at is None and process.returncode:
        raise RuntimeError(f'prediction ended with code {process.returncode}')
    if kill_at is not None and process.returncode != -signal.SIGKILL:
        raise RuntimeError(f'prediction ended before {kill_at} parts were there; choose a larger --size')
    found = json.loads(report.read_text())
    return dict(found, peak=max(peak, found.get('peak', 0)))


def measure(args: argparse.Namespace) -> dict:
    """Predict the scene, killed twice, and again without that."""
    scene, head = args.work_dir / 'scene.tif', args.work_dir / 'undisturbed/scene.tif'
    head.parent.mkdir()
    rows = args.rows or args.size
    if started(args, '--make', scene, args.size).wait() or started(args, '--make', head, rows).wait():
        raise RuntimeError('the scene could not be made')
    settings = settings_of(args).completed(build(args.network, args.window))
    grid = Grid((args.size, args.size), args.window, settings.overlap)
    parts = len(grid.tops) * len(grid.panels(8192))
    lives = [predicted(args, scene, args.work_dir / 'killed', at) for at in (parts // 3, parts * 2 // 3, None)]
    whole = predicted(args, head, args.work_dir / 'whole')
    killed, undisturbed = (args.work_dir / folder / 'scene.tif' for folder in ('killed', 'whole'))
    # The last line of windows of the first rows is another one.
    common = args.size if rows == args.size else rows - args.window
    border = int(args.size * BORDER)
    growth = max(life['peak'] - life['imports'] for life in (*lives, whole))
    return dict(
        growth_mb=round(growth / 1024), windows=whole['windows'],
        windows_a_second=round(whole['windows'] / whole['seconds'], 2),
        speed=round(whole['windows'] * whole['bare'] / whole['seconds'], 3),
        equal=all(map(np.array_equal, strips(killed, common), strips(undisturbed, common))), cog=is_cog(killed),
        classified_nodata=sum(int((strip != 255).sum()) for strip in strips(killed, border)))


def strips(path: Path, rows: int) -> Iterator[np.ndarray]:
    """The first rows of a raster, 512 at a time."""
    with rasterio.open(path) as file:
        for top in range(0, min(rows, file.height), 512):
            yield file.read(1, window=((top, min(top + 512, rows, file.height)), (0, file.width)))


def is_cog(path: Path) -> bool:
    """Whether a GeoTIFF is tiled, has overviews down to a tile, and has its directories before the tiles, small
    overviews' tiles before large ones'.
    """
    with rasterio.open(path) as file:
        levels = [None, *range(len(file.overviews(1)))]
        directories = [int(file.get_tag_item('IFD_OFFSET', 'TIFF', bidx=1, ovr=level)) for level in levels]
        # Empty tiles are not stored, so the first that is stored counts.
        tiles = [first_tile(file, level) for level in levels]
        smallest = max(file.shape) / max([1, *file.overviews(1)])
        return (file.profile['tiled'] and smallest <= file.block_shapes[0][0] and directories == sorted(directories)
                and max(directories) < min(tiles) and tiles == sorted(tiles, reverse=True))


def first_tile(file: rasterio.DatasetReader, level: int | None) -> int:
    """Place in the file of the first tile of a level that is stored."""
    side, factor = file.block_shapes[0][0], 1 if level is None else file.overviews(1)[level]
    height, width = (-(-length // factor // side) for length in file.shape)
    offsets = (file.get_tag_item(f'BLOCK_OFFSET_{column}_{row}', 'TIFF', bidx=1, ovr=level)
               for row in range(height) for column in range(width))
    return int(next(offset for offset in offsets if offset))


def measure_seams(args: argparse.Namespace) -> dict:
    """Predict a drawn scene, and a part of it, whose windows begin elsewhere."""
    run_command('data_prep/synthetic.py', 'isaid', args.work_dir.resolve() / 'drawn', train=1, val=0,
                styles='temperate', size=args.seam_size, log=args.work_dir / 'drawn.log')
    scene, shifted = args.work_dir / 'drawn/train/images/P0000.png', args.work_dir / 'shifted.png'
    with Image.open(scene) as image:
        image.crop((SHIFT, SHIFT, args.seam_size, args.seam_size)).save(shifted)
    model = load_model(CONFIG, CHECKPOINT)
    settings = SegmentationSettings()
    one, other = (np.concatenate([*strips(segment(model, path, args.work_dir / 'seams', settings).classes,
                                          args.seam_size)]) for path in (scene, shifted))
    grid = Grid(one.shape, model.window, settings.completed(model).overlap)
    # The scene's own borders are in no window's favor: away from them every pixel has the same number of windows.
    inner = slice(model.window, -2 * model.window)
    agreement = (one[SHIFT:, SHIFT:] == other)[inner, inner].mean()
    return dict(seams=round(seams(one, grid), 3), shifted_agreement=round(float(agreement), 4))


def seams(classes: np.ndarray, grid: Grid) -> float:
    """Changes from a pixel to the next where windows begin or end, against elsewhere, of both directions."""
    at, elsewhere = [], []
    for values, starts in ((classes, grid.tops), (classes.T, grid.lefts)):
        share = (values[1:] != values[:-1]).mean(axis=1)
        borders = np.unique([edge - 1 for start in starts for edge in (start, start + grid.side)
                             if 0 < edge < len(values)])
        at.append(share[borders])
        elsewhere.append(np.delete(share, borders))
    return float(np.concatenate(at).mean() / np.concatenate(elsewhere).mean())


def missed(result: dict) -> list[str]:
    """Goals that were not reached."""
    found = [f'growth_mb is {result["growth_mb"]}, at most {GOALS["growth_mb"]}'] if (
        result['growth_mb'] > GOALS['growth_mb']) else []
    found += [f'{name} is {result[name]}, at least {GOALS[name]}' for name in ('speed', 'shifted_agreement')
              if result[name] < GOALS[name] and (name != 'speed' or result['network'] == 'tiny')]
    found += [f'seams is {result["seams"]}, at most {GOALS["seams"]}'] if result['seams'] > GOALS['seams'] else []
    found += [f'{name} is false' for name in ('equal', 'cog') if not result[name]]
    return found + (['pixels without data got a class'] if result['classified_nodata'] else [])


def main(argv: list[str] | None = None) -> None:
    """Measure and write the result."""
    args = parse_args(argv)
    if args.make:
        make_scene(Path(args.make[0]), int(args.make[1]), args.size)
        return
    if args.predict:
        predict(args, *args.predict)
        return
    args.work_dir.mkdir(parents=True, exist_ok=True)
    if any(args.work_dir.iterdir()):
        raise SystemExit(f'{args.work_dir} is not empty; remove it, or choose another --work-dir.')
    result = measure(args) | measure_seams(args) | dict(
        machine=f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores', date=str(date.today()),
        size=args.size, window=args.window, network=args.network, threads=torch.get_num_threads())
    write_json(args.out, result)
    for name, value in result.items():
        print(f'{name}: {value}')
    if goals := missed(result):
        raise SystemExit(f'Missed: {"; ".join(goals)}.')


if __name__ == '__main__':
    main()

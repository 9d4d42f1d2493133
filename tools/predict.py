"""Predict scenes of any size: maps of classes as GeoTIFF, or rotated boxes; polygons of both in map coordinates.

A stopped call goes on when it is repeated. docs/predict.md describes the results.
"""
import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import s5_mm  # noqa: F401  before torch, since it chooses how threads wait

# isort: split

import numpy as np
from mmengine.config import Config, DictAction
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from PIL import Image

from s5_mm.apis import draw_classes, end_process, load_config, load_model, naming_lost_processes, overview
from s5_mm.errors import one_line_errors
from s5_mm.export import ENGINES, PRECISIONS, is_exported, load_exported, with_engine
from s5_mm.files import replacing
from s5_mm.launching import join_processes
from s5_mm.radiometry import Radiometry, Stretch
from s5_mm.rasters import RasterError, open_raster
from s5_mm.scenes import (
    Detections,
    SceneModel,
    SegmentationSettings,
    TilingConfig,
    boxes,
    check_format,
    class_polygons,
    detect_scene,
    find_scenes,
    scene_name,
    segment,
    write_vectors,
)

SEGMENTATION = ('blend', 'flip', 'engine', 'precision', 'confidence', 'probabilities', 'min_area', 'simplify')
DETECTION = ('scales', 'merge_iou', 'score_thr', 'draw')
"""Options that go with one kind of model."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage='%(prog)s [options] CONFIG CHECKPOINT SCENE... --out DIR\n'
                                     '       %(prog)s [options] EXPORTED SCENE... --out DIR')
    parser.add_argument('config', help='config file; or a file of tools/export.py, and no checkpoint')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('scenes', nargs='*', metavar='SCENE',
                        help='JPEG, PNG, (Geo)TIFF, BMP or VRT of any size; folder; pattern; https address')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the results, named after the scenes')
    parser.add_argument('--dataset', metavar='NAME', help='dataset whose classes are predicted, of several')
    parser.add_argument('--device', help='default the GPU, if there is one')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override settings')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='job launcher: its processes share the rows of each scene; of maps alone')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')

    windows = parser.add_argument_group('windows')
    windows.add_argument('--window', type=int, metavar='PX', help='side; default that of the training images')
    windows.add_argument('--overlap', type=int, metavar='PX',
                         help='of neighboring windows; default half a window, for boxes 200 of 1024 px')
    windows.add_argument('--batch-size', type=int, metavar='N',
                         help='windows in a forward pass; default 4, on a CPU 1 of 512 px')

    values = parser.add_argument_group('values', 'default: as the images that the model was trained on')
    values.add_argument('--bands', nargs='+', metavar='BAND', help='numbers, from 1, or names of the bands')
    stretch = values.add_mutually_exclusive_group()
    stretch.add_argument('--value-range', type=float, nargs=2, metavar=('LOW', 'HIGH'),
                         help='values that become 0 and 255 in scenes of more than 8 bits')
    stretch.add_argument('--percentiles', type=float, nargs=2, metavar=('LOW', 'HIGH'),
                         help='of each scene and band, that become 0 and 255')
    values.add_argument('--black', choices=['data', 'nodata'],
                        help='what pixels are that are 0 in all bands; default nodata in georeferenced files that mark '
                        'no pixel themselves')

    polygons = parser.add_argument_group('polygons')
    polygons.add_argument('--vector', choices=['gpkg', 'geojson', 'parquet'],
                          help='write polygons of classes, or boxes, to DIR/NAME.FORMAT')
    polygons.add_argument('--min-area', type=float, metavar='M2', help='leave out smaller polygons of classes')
    polygons.add_argument('--simplify', type=float, metavar='UNITS',
                          help='tolerance of their borders in units of the map; shared borders stay shared')

    maps = parser.add_argument_group('segmentation')
    maps.add_argument('--confidence', action='store_true', default=None,
                      help='write DIR/NAME_confidence.tif, the probability of the class in percent')
    maps.add_argument('--probabilities', action='store_true', default=None,
                      help='write DIR/NAME_probabilities.tif, a band for each class')
    maps.add_argument('--blend', choices=['hann', 'center'],
                      help='average of overlapping windows (default), or the window with the nearest center')
    maps.add_argument('--flip', action='store_true', default=None, help='average with mirrored windows')
    maps.add_argument('--engine', choices=ENGINES,
                      help='what runs the model; default torch, for an exported file the one of its kind')
    maps.add_argument('--precision', choices=sorted({name for names in PRECISIONS.values() for name in names}),
                      help=f'how exactly; default fp32 ({"; ".join(map(told_precisions, PRECISIONS))})')

    objects = parser.add_argument_group('detection')
    objects.add_argument('--score-thr', type=float, metavar='SCORE', help='lowest score; default 0.3')
    objects.add_argument('--merge-iou', type=float, metavar='IOU',
                         help='drop a detection if its IoU with a better one of its class is above this; default 0.1')
    objects.add_argument('--scales', type=float, nargs='+', metavar='RATE',
                         help='factors on the sides of the scene; default 1')
    objects.add_argument('--draw', action='store_true', default=None,
                         help='write DIR/drawn/NAME.png, too, reduced to at most 4096 px')
    args = parser.parse_intermixed_args(argv)
    if is_exported(args.config):
        args.scenes.insert(0, args.checkpoint)
        args.checkpoint = None
    if not args.scenes:
        parser.error('no scene is given')
    return args


def told_precisions(engine: str) -> str:
    """An engine with its precisions."""
    return f'{engine}: {", ".join(PRECISIONS[engine])}'


def chosen_model(args: argparse.Namespace) -> SceneModel:
    """The model with its engine.

    Raises:
        ValueError: The engine does not run it so, or an option does not go with it.
    """
    precision = args.precision or 'fp32'
    if args.checkpoint is None:
        wrong = [name for name in ('dataset', 'cfg_options') if getattr(args, name) is not None]
        if wrong or args.device not in (None, 'cpu'):
            raise ValueError(f'--{wrong[0].replace("_", "-") if wrong else "device"} is an option of a config and a '
                             f'checkpoint; {args.config} is exported for one dataset and CPUs. Leave it out.')
        join_processes(Config(dict(launcher=args.launcher, model={})))
        model = load_exported(args.config, args.engine, precision)
        check_options(args, model)
        return model
    cfg = load_config(args.config, cfg_options=args.cfg_options, launcher=args.launcher)
    join_processes(cfg)
    model = load_model(cfg, args.checkpoint, args.dataset, args.device)
    check_options(args, model)
    return model if model.detects else with_engine(model, cfg.model, args.engine or 'torch', precision)


def check_scenes(scenes: Sequence[Path | str], radiometry: Radiometry, vector: str | None) -> None:
    """Check that every scene can be opened and read in this way, without reading its pixels.

    Raises:
        RasterError: One or more cannot.
        ValueError: The polygons of a scene cannot be written in the chosen format.
    """
    # Percentiles would be computed from all pixels.
    stretch = radiometry.stretch and Stretch(value_range=radiometry.stretch.value_range or (0, 1))
    refused = []
    for scene in scenes:
        try:
            with open_raster(scene, radiometry.bands, stretch) as raster:
                if vector is not None:
                    check_format(vector, scene, raster.crs is not None)
        except RasterError as error:
            refused.append(f'{scene}: {error}')
    if refused:
        raise RasterError('; '.join(refused))


def check_out(folder: Path) -> None:
    """Check that files can be written into a folder, which is made if it is missing.

    Raises:
        OSError: They cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def chosen_radiometry(args: argparse.Namespace, trained: Radiometry) -> Radiometry:
    """How scenes are read: as in training, but for what the command line says."""
    stretch = trained.stretch
    if args.value_range or args.percentiles:
        stretch = Stretch(tuple(args.percentiles or Stretch.percentiles), args.value_range and tuple(args.value_range))
    bands = trained.bands if args.bands is None else tuple(int(band) if band.isdigit() else band for band in args.bands)
    return replace(trained, bands=bands, stretch=stretch)


def given(args: argparse.Namespace, names: Sequence[str]) -> dict:
    """The options among these that the command line gives."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def check_options(args: argparse.Namespace, model: SceneModel) -> None:
    """Refuse options of the other kind of model.

    Raises:
        ValueError: There is one.
    """
    wrong = list(given(args, SEGMENTATION if model.detects else DETECTION))
    if wrong:
        kinds = ('detector', 'segmentation') if model.detects else ('segmentor', 'detection')
        raise ValueError(f'--{wrong[0].replace("_", "-")} is an option of {kinds[1]}, and the model is a {kinds[0]}; '
                         'leave it out.')
    if model.detects and args.launcher != 'none':
        raise ValueError(f'--launcher {args.launcher} divides maps, and the model is a detector; start a call for each '
                         'part of the scenes.')


def predict_map(args: argparse.Namespace, model: SceneModel, scene: Path | str, radiometry: Radiometry) -> str:
    """Segment a scene; what was written."""
    options = given(args, ('window', 'overlap', 'batch_size', 'blend', 'flip', 'confidence', 'probabilities'))
    if args.vector:
        options['confidence'] = True
    settings = SegmentationSettings(**options, black=args.black and args.black == 'data')
    found = segment(model, scene, args.out, settings, radiometry)
    if args.vector and is_main_process():
        path = found.classes.with_suffix(f'.{args.vector}')
        frame = class_polygons(found, model.classes, args.min_area or 0, args.simplify or 0)
        write_vectors(frame, path)
        return f'{found.classes}, {len(frame)} polygons in {path}'
    return str(found.classes)


def predict_boxes(args: argparse.Namespace, model: SceneModel, scene: Path | str, radiometry: Radiometry) -> str:
    """Detect in a scene; what was written."""
    settings = TilingConfig(args.window, args.overlap, tuple(args.scales or [1.0]),
                            0.1 if args.merge_iou is None else args.merge_iou,
                            0.3 if args.score_thr is None else args.score_thr,
                            4 if args.batch_size is None else args.batch_size,
                            black=args.black and args.black == 'data')
    found = detect_scene(model, scene, args.out, settings, radiometry)
    path = Path(args.out) / scene_name(scene)
    if args.vector:
        write_vectors(boxes(found, model.classes), path.with_name(f'{path.name}.{args.vector}'))
    if args.draw:
        draw(model, scene, radiometry, found, path.parent / 'drawn' / f'{path.name}.png')
    return f'{len(found.scores)} objects, in {path}.txt'


def draw(model: SceneModel, scene: Path | str, radiometry: Radiometry, found: Detections, path: Path) -> None:
    """Draw detections on a scene."""
    with open_raster(scene, radiometry.bands, radiometry.stretch) as source:
        picture, scale = overview(source)
    drawn = draw_classes(picture, found.polygons * scale, found.labels, model.classes, model.palette)
    with replacing(path) as temporary:
        Image.fromarray(np.ascontiguousarray(drawn)).save(temporary, format='PNG')


def main(argv: list[str] | None = None) -> None:
    """Predict."""
    args = parse_args(argv)
    scenes = find_scenes(args.scenes)
    check_out(Path(args.out))
    check_scenes(scenes, Radiometry((1, ), Stretch()), args.vector)
    model = chosen_model(args)
    radiometry = chosen_radiometry(args, model.radiometry)
    check_scenes(scenes, radiometry, args.vector)
    damaged = []
    for scene in scenes:
        try:
            written = (predict_boxes if model.detects else predict_map)(args, model, scene, radiometry)
        except RasterError as error:
            damaged.append(f'{scene}: {error}')
            print_log(f'{damaged[-1]}; going on with the other scenes.', 'current', level=logging.ERROR)
        else:
            if is_main_process():
                print(f'{scene}: {written}')
    if damaged:
        raise RasterError('; '.join(damaged))


def run() -> None:
    """Predict; an error is one line, and so is Ctrl-C."""
    try:
        with one_line_errors('predict'), naming_lost_processes():
            main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'predict: error: {error}')
    except KeyboardInterrupt:
        sys.exit('predict: stopped; the same command goes on')


if __name__ == '__main__':
    run()
    end_process()

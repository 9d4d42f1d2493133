"""Select a reliable and diverse part of an archive of unlabeled images, as S5 selected RS4P-1M (arXiv 2508.12409).

    curate.py crop SRC OUT                    large images -> 512 px patches in OUT/images
    curate.py crop SRC OUT --labels LABELS    ... with their labels, for training and validation
    curate.py prototypes CONFIG CHECKPOINT    scene types of the labeled images -> WORK_DIR/prototypes.npz
    curate.py score CONFIG CHECKPOINT         entropy and scene type of the pool -> WORK_DIR/pool/scores/*.parquet
    curate.py select CONFIG                   quotas, lowest entropy first -> WORK_DIR/NAME.parquet, .txt and .json
    curate.py report CONFIG                   figures and contact sheets -> WORK_DIR/NAME.html

A CONFIG (configs/curation) defines model, data and numbers. A stopped step resumes when its command is repeated.
`curate.py STEP --help` describes a step; docs/curation.md describes all of them.
"""
import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import DictAction

if TYPE_CHECKING:
    from data_prep.curation.labels import LabelSettings

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Errors that a user can correct; they are shown without a traceback.
USER_ERRORS = (ValueError, OSError)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest='step', required=True, metavar='crop|prototypes|score|select|report')
    _add_crop(steps)
    _add_prototypes(steps)
    _add_score(steps)
    _add_select(steps)
    _add_report(steps)
    return parser.parse_args(argv)


def _add_step(steps: argparse._SubParsersAction, name: str, text: str, checkpoint: bool) -> argparse.ArgumentParser:
    step = steps.add_parser(name, help=text, description=text)
    step.add_argument('config', help='config with a dict `curation`, see configs/curation')
    if checkpoint:
        step.add_argument('checkpoint', help='weights of the model that the config describes')
    step.add_argument('--work-dir', metavar='DIR', help="folder of results (default: the config's curation.work_dir)")
    step.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                      help='override settings, e.g. curation.batch_size=8 curation.workers=2')
    if checkpoint:
        step.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                          help='job launcher')
        step.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    return step


def _add_crop(steps: argparse._SubParsersAction) -> None:
    step = steps.add_parser('crop', help='cut large images into patches', description=(
        'Cut JPEG, PNG, GeoTIFF and BMP images of any size, bits and bands into 8-bit color patches '
        'OUT/images/FOLDERS/NAME_TOP_LEFT.png, or GeoTIFF with all bands. With --labels: a labeled dataset in '
        'OUT/img_dir and OUT/ann_dir, divided into training and validation by area. OUT/patches.parquet lists the '
        'patches with footprints. Only a line of patches is held in memory. Patches without data are left out. A '
        'stopped run resumes when the command is repeated.'))
    step.add_argument('source', type=Path, metavar='SRC', help='folder of images, searched with its subfolders')
    step.add_argument('out', type=Path, metavar='OUT', help='output folder')
    step.add_argument('--size', type=int, default=512, help='side of a patch in pixels (default: %(default)s)')
    step.add_argument('--stride', type=int, help='pixels from one patch to the next (default: the size)')
    step.add_argument('--edge', choices=['shift', 'drop'], default='shift',
                      help='move the last patch of a line inside, so that it overlaps, or drop the rest of the line '
                      '(default: %(default)s)')
    step.add_argument('--min-side', type=int, default=128,
                      help='smaller images are errors; those between this and the size are kept whole '
                      '(default: %(default)s)')
    step.add_argument('--min-valid', type=float, default=0.5, metavar='SHARE',
                      help='share of pixels with data that a patch needs (default: %(default)s)')
    step.add_argument('--bands', nargs='+', metavar='BAND',
                      help='bands of red, green and blue, or of gray: numbers from 1, or names (default: as named in '
                      'the file)')
    step.add_argument('--percentiles', type=float, nargs=2, default=(2, 98), metavar=('LOW', 'HIGH'),
                      help='percentiles of each band that become 0 and 255, for more than 8 bits (default: 2 98)')
    step.add_argument('--value-range', type=float, nargs=2, metavar=('LOW', 'HIGH'),
                      help='values that become 0 and 255 in all images with more than 8 bits, in place of percentiles')
    step.add_argument('--format', choices=['png', 'jpg', 'tif'],
                      help='png, jpg: 8-bit color; tif: GeoTIFF, all bands and values as they are, with their place on '
                      'the map (default: png, with --labels tif)')
    step.add_argument('--quality', type=int, default=95, help='quality of JPEG (default: %(default)s)')
    step.add_argument('--max-errors', type=float, default=0.01, metavar='SHARE',
                      help='share of the images that may be unreadable (default: %(default)s)')
    step.add_argument('--workers', type=int, default=os.cpu_count(), help='processes (default: all cores)')
    labels = step.add_argument_group('labels')
    labels.add_argument('--labels', metavar='LABELS',
                        help='a folder with a label for each scene, FOLDERS/NAME.*, or one file for all scenes: '
                        'rasters of values (of another resolution or coordinate reference system, too) or polygons '
                        '(GeoPackage, GeoJSON, GeoParquet)')
    labels.add_argument('--label-suffix', default='', metavar='TEXT',
                        help="what follows the scene's name in that of its label, e.g. _label")
    labels.add_argument('--attribute', metavar='NAME', help='attribute of polygons that tells their class')
    labels.add_argument('--classes', nargs='+', metavar='VALUE[=NAME]',
                        help='values of the classes 0, 1, ... in the labels; others are ignored (default: all values, '
                        'sorted)')
    labels.add_argument('--background', metavar='NAME',
                        help='a last class: what lies outside of all polygons (default: it is ignored)')
    labels.add_argument('--val', type=float, default=0.2, metavar='SHARE',
                        help='share of the area for validation (default: %(default)s)')
    labels.add_argument('--block', type=int, metavar='PX',
                        help='side of the blocks that are for training or validation as a whole (default: 4 x size)')
    labels.add_argument('--seed', type=int, default=0, help='of the choice of blocks (default: %(default)s)')


def _label_settings(args: argparse.Namespace) -> 'LabelSettings | None':
    """What the command line says of labels."""
    from data_prep.curation.labels import LabelSettings, parse_classes

    if args.labels is None:
        names = 'label_suffix', 'attribute', 'classes', 'background', 'block'
        alone = [name for name in names if getattr(args, name)]
        if alone:
            raise ValueError(f'--{alone[0].replace("_", "-")} needs --labels')
        return None
    return LabelSettings(args.labels, args.label_suffix, args.attribute, parse_classes(args.classes or ()),
                         args.background, args.val, args.block or 4 * args.size, args.seed)


def _add_prototypes(steps: argparse._SubParsersAction) -> None:
    step = _add_step(steps, 'prototypes', 'cluster the features of the labeled images', checkpoint=True)
    step.add_argument('--num-clusters', type=lambda text: text if text == 'auto' else int(text), metavar='M',
                      help="number of clusters, or `auto` for the best silhouette of 4, 8, 16, 32 and 64 (default: the "
                      "config's)")
    step.add_argument('--seed', type=int, help="seed of the clustering (default: the config's)")


def _add_score(steps: argparse._SubParsersAction) -> None:
    step = _add_step(steps, 'score', 'score the images of the pool', checkpoint=True)
    step.add_argument('--source', help="folder, list or Parquet file of images (default: the config's); another "
                      "source drops the pool's `indices` and keeps its other settings")
    step.add_argument('--data-root', metavar='DIR', help="folder that listed paths are relative to (default: the "
                      "config's)")
    step.add_argument('--max-errors', type=float, metavar='SHARE',
                      help="share of the images that may be unreadable (default: the config's)")
    step.add_argument('--no-prototypes', action='store_true',
                      help='compute entropy only, which does not allow quotas')


def _add_select(steps: argparse._SubParsersAction) -> None:
    step = _add_step(steps, 'select', 'select from the scored pool', checkpoint=False)
    step.add_argument('--budget', type=int, help="images to select (default: the config's)")
    step.add_argument('--strategy', choices=['curated', 'random', 'entropy', 'diversity'],
                      help="curated: quotas, lowest entropy first; entropy: no quotas; diversity: quotas, random order "
                      "(default: the config's)")
    step.add_argument('--on-shortfall', choices=['skip', 'redistribute'],
                      help="what to do with the rest of a quota that its cluster cannot fill (default: the config's)")
    step.add_argument('--near-duplicates', type=float, metavar='COSINE',
                      help='leave out an image whose feature is at least this similar to a better one of its cluster; '
                      'needs curation.keep_features=True when scoring')
    step.add_argument('--seed', type=int, help="seed of the random order (default: the config's)")
    step.add_argument('--name', help='name of the files (default: the strategy)')


def _add_report(steps: argparse._SubParsersAction) -> None:
    step = _add_step(steps, 'report', 'write a page about a selection', checkpoint=False)
    step.add_argument('--name', help="name of the selection (default: the config's strategy)")


def crop(args: argparse.Namespace) -> str:
    """Cut large images."""
    from data_prep.curation.crop import CropSettings
    from data_prep.curation.crop import crop as run
    from s5_mm.radiometry import Stretch

    stretch = Stretch(tuple(args.percentiles), args.value_range and tuple(args.value_range))
    bands = args.bands and tuple(int(band) if band.isdigit() else band for band in args.bands)
    settings = CropSettings(args.size, args.size if args.stride is None else args.stride, args.edge, args.min_side,
                            args.min_valid, bands, stretch, args.format or ('tif' if args.labels else 'png'),
                            args.quality, _label_settings(args))
    if args.workers < 1:
        raise ValueError(f'--workers is {args.workers}; it must be at least 1')
    totals = run(args.source, args.out, settings, args.workers, args.max_errors)
    lines = [f'{image}: {reason}' for image, reason in totals.errors]
    place = args.out / 'img_dir' if args.labels else args.out / 'images'
    return '\n'.join([*lines, f'{totals.images:,} images, {totals.patches:,} patches in {place}, {totals.empty:,} '
                      f'empty ones left out, {len(totals.errors):,} images not readable', *totals.notes])


def _load(args: argparse.Namespace, **changes: object) -> tuple:
    """Config and settings."""
    from s5_mm.apis import load_config
    from s5_mm.curation.settings import CurationSettings

    cfg = load_config(args.config, args.work_dir, args.cfg_options, getattr(args, 'launcher', 'none'))
    return cfg, CurationSettings.from_config(cfg, work_dir=args.work_dir, **changes)


def prototypes(args: argparse.Namespace) -> str:
    """Cluster the labeled images."""
    from s5_mm.curation.run import make_prototypes
    from s5_mm.launching import join_processes, naming_lost_processes

    cfg, settings = _load(args, num_clusters=args.num_clusters, seed=args.seed)
    with naming_lost_processes():
        join_processes(cfg)
        made = make_prototypes(cfg, args.checkpoint, settings)
    if made is None:
        return ''
    counts = ' '.join(map(str, made.counts))
    return f'{settings.prototypes_file}: {len(made.counts)} clusters of {counts} labeled images'


def score(args: argparse.Namespace) -> str:
    """Score the pool."""
    from mmengine.dist import is_main_process

    from s5_mm.curation.run import score_pool
    from s5_mm.launching import join_processes, naming_lost_processes

    cfg, settings = _load(args, max_errors=args.max_errors)
    settings = settings.with_pool(args.source, args.data_root)
    with naming_lost_processes():
        join_processes(cfg)
        table = score_pool(cfg, args.checkpoint, settings, not args.no_prototypes)
    if not is_main_process():
        return ''
    errors = table.errors()
    return f'{table.folder}/scores: {errors.total - errors.failed:,} images scored, {errors.failed:,} errors'


def select(args: argparse.Namespace) -> str:
    """Select from the scored pool."""
    from prettytable import PrettyTable

    from s5_mm.curation.manifest import write_selection

    _, settings = _load(args, budget=args.budget, strategy=args.strategy,
                        on_shortfall=args.on_shortfall, seed=args.seed,
                        near_duplicates=args.near_duplicates)
    name = args.name or settings.strategy
    card = write_selection(settings, name)
    columns = ('cluster', 'labeled', 'quota', 'available', 'taken', 'unfilled', 'highest_entropy')
    table = PrettyTable(list(columns), float_format='.4')
    table.add_rows([[group[column] for column in columns] for group in card['groups']])
    unfilled = sum(group['unfilled'] for group in card['groups'])
    note = f' ({unfilled:,} of the quotas stay unfilled: clusters had too few images)' if unfilled else ''
    return (f'{table}\n{settings.folder / name}.parquet, .txt, .json: {card["selected"]:,} of '
            f'{card["budget"]:,} images selected{note}')


def report(args: argparse.Namespace) -> str:
    """Write a page about a selection."""
    from s5_mm.curation.report import write_report

    _, settings = _load(args)
    return str(write_report(settings, args.name or settings.strategy))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, see the module and ``--help``."""
    args = parse_args(argv)
    # mmseg repeats this warning for every size of image.
    warnings.filterwarnings('ignore', message='When align_corners=True')
    from s5_mm.errors import one_line_errors  # takes seconds to import, which --help should not

    run = dict(crop=crop, prototypes=prototypes, score=score, select=select, report=report)[args.step]
    try:
        with one_line_errors(f'curate {args.step}'):
            message = run(args)
    except USER_ERRORS as error:
        sys.exit(f'curate {args.step}: error: {error}')
    if message:
        print(message)


if __name__ == '__main__':
    main()
    from s5_mm.launching import end_process

    end_process()

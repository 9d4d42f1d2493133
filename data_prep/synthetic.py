"""Writes procedural overhead scenes as a labeled benchmark, or as an unlabeled pool with bad images."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep.example_scenes.classes import OBJECTS, check_names
from data_prep.example_scenes.files import keep_settings
from data_prep.example_scenes.jobs import make_labeled, make_pool, plan_pool
from data_prep.example_scenes.sampling import Source
from data_prep.example_scenes.styles import STYLES, pick_styles
from data_prep.example_scenes.writers import FORMATS, Format

GENERATOR = 1  # to be increased when the same settings no longer give the same pictures


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(',') if name.strip())


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    styles = '; '.join(f'{name}: {style.summary}' for name, style in STYLES.items())
    parser = argparse.ArgumentParser(description=__doc__, epilog=f'Styles: {styles}.')
    formats = parser.add_subparsers(dest='format', required=True, metavar='|'.join((*FORMATS, 'unlabeled')))
    for name, layout in FORMATS.items():
        labeled = formats.add_parser(
            name, parents=[_common_options(layout.size, layout.styles, layout.gsd)], help=layout.layout
        )
        for split, count in layout.counts.items():
            most = f', at most {layout.limits[split]}' if layout.limits else ''
            labeled.add_argument(
                f'--{split}', type=int, default=count, help=f'number of {split} images{most} (default: %(default)s)'
            )
    _add_pool(formats)
    return parser


def _common_options(size: int, styles: tuple[str, ...], gsd: tuple[float, float] | None) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        'out', type=Path, metavar='OUT', help='output folder; a stopped run resumes with the same settings'
    )
    common.add_argument(
        '--size', type=int, default=size, help='side of the images in pixels, from 32 (default: %(default)s)'
    )
    common.add_argument(
        '--styles',
        type=_names,
        default=styles or tuple(STYLES),
        metavar='A,B',
        help='comma-separated; each gets an equal part of the images '
        f'(default: {", ".join(styles) or "all"}; choices: {", ".join(STYLES)})',
    )
    common.add_argument(
        '--classes',
        type=_names,
        default=OBJECTS,
        metavar='A,B',
        help=f'object classes that may appear (default: all: {", ".join(OBJECTS)})',
    )
    meters = f' ({gsd[0]:g} to {gsd[1]:g})' if gsd else ' of the styles'
    common.add_argument(
        '--coarser',
        type=float,
        default=1.0,
        metavar='FACTOR',
        help=f'factor on the meters per pixel{meters}, 0.5 to 8; 2 shows a piece of land twice as wide '
        '(default: %(default)s)',
    )
    common.add_argument('--seed', type=int, default=0, help='same seed, same pictures (default: %(default)s)')
    common.add_argument(
        '--workers', type=int, default=1, help='processes; does not change the result (default: %(default)s)'
    )
    return common


def _add_pool(formats: argparse._SubParsersAction) -> None:
    pool = formats.add_parser(
        'unlabeled',
        parents=[_common_options(256, (), None)],
        help='OUT/*/*.jpg without labels, and OUT/pool.csv with the kind of each image',
    )
    pool.add_argument('--num', type=int, default=500, help='number of images (default: %(default)s)')
    pool.add_argument(
        '--degraded', type=float, default=0.1, help='share of degraded overhead views (default: %(default)s)'
    )
    pool.add_argument(
        '--off-domain', type=float, default=0.1, help='share of pictures of other kinds (default: %(default)s)'
    )


def _check(args: argparse.Namespace, layout: Format | None) -> None:
    pick_styles(args.styles)
    check_names('class', args.classes, OBJECTS)
    counts = layout.counts if layout else ('num',)
    for name, low in {'size': 32, 'seed': 0, 'workers': 1, **dict.fromkeys(counts, 0)}.items():
        if getattr(args, name) < low:
            raise ValueError(f'--{name} {getattr(args, name)} is too small; the minimum is {low}')
    for split, most in (layout.limits if layout else {}).items():
        if getattr(args, split) > most:
            raise ValueError(
                f'--{split} {getattr(args, split)} is too large; {layout.title} has {most} tiles there: make them '
                'larger with --size'
            )
    if not 0.5 <= args.coarser <= 8:
        raise ValueError(f'--coarser {args.coarser} is out of range; it lies between 0.5 and 8')


def generate(args: argparse.Namespace) -> int:
    """Makes the missing images of the dataset and returns their number."""
    layout = FORMATS.get(args.format)
    _check(args, layout)
    own = {'gsd': layout.gsd, 'salt': layout.salt, 'themes': layout.themes} if layout else {}

    def source(stream: str) -> Source:
        return Source(args.seed, stream, args.size, args.styles, args.classes, args.coarser, **own)

    plan = [] if layout else plan_pool(source('pool'), args.num, args.degraded, args.off_domain)
    ignored = ('out', 'workers')
    keep_settings(args.out, {'generator': GENERATOR} | {k: v for k, v in vars(args).items() if k not in ignored})
    if layout:
        counts = {split: getattr(args, split) for split in layout.counts}
        return make_labeled(layout, args.out, counts, {split: source(split) for split in counts}, args.workers)
    return make_pool(args.out, plan, source('pool'), args.workers)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        made = generate(args)
    except (ValueError, OSError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    sys.stdout.write(f'{args.out}: {made} new images\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Writes procedural overhead scenes as a data set: isaid (labeled) or unlabeled (a pool with bad images in it)."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep.scenes.classes import OBJECTS, check_names
from data_prep.scenes.files import keep_settings
from data_prep.scenes.jobs import make_isaid, make_pool, plan_pool
from data_prep.scenes.sampling import STREAMS, Source
from data_prep.scenes.styles import STYLES, pick_styles

GENERATOR = 1  # raise when the same settings no longer give the same pictures


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(',') if name.strip())


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    styles = '; '.join(f'{name}: {style.summary}' for name, style in STYLES.items())
    parser = argparse.ArgumentParser(description=__doc__, epilog=f'Styles: {styles}.')
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        'out', type=Path, metavar='OUT', help='folder to fill; a second run with the same settings goes on'
    )
    common.add_argument(
        '--size', type=int, default=256, help='side of the images in pixels, from 32 (default: %(default)s)'
    )
    common.add_argument(
        '--styles',
        type=_names,
        default=tuple(STYLES),
        metavar='A,B',
        help=f'comma-separated; each gets an equal part of the images (default: all: {", ".join(STYLES)})',
    )
    common.add_argument(
        '--classes',
        type=_names,
        default=OBJECTS,
        metavar='A,B',
        help=f'object classes that may appear (default: all: {", ".join(OBJECTS)})',
    )
    common.add_argument(
        '--coarser',
        type=float,
        default=1.0,
        metavar='FACTOR',
        help='factor on the metres per pixel of the styles, 0.5 to 4; 2 shows a piece of land twice as wide '
        '(default: %(default)s)',
    )
    common.add_argument('--seed', type=int, default=0, help='same seed, same pictures (default: %(default)s)')
    common.add_argument(
        '--workers', type=int, default=1, help='processes; does not change the result (default: %(default)s)'
    )
    formats = parser.add_subparsers(dest='format', required=True, metavar='isaid|unlabeled')
    isaid = formats.add_parser(
        'isaid', parents=[common], help='OUT/{train,val}/images with colour-coded masks, the layout of iSAID'
    )
    isaid.add_argument('--train', type=int, default=40, help='number of training images (default: %(default)s)')
    isaid.add_argument('--val', type=int, default=40, help='number of validation images (default: %(default)s)')
    pool = formats.add_parser(
        'unlabeled', parents=[common], help='OUT/*/*.jpg without labels, and OUT/pool.csv saying what each is'
    )
    pool.add_argument('--num', type=int, default=500, help='number of images (default: %(default)s)')
    pool.add_argument(
        '--degraded', type=float, default=0.1, help='share of spoilt overhead views (default: %(default)s)'
    )
    pool.add_argument('--off-domain', type=float, default=0.1, help='share of other pictures (default: %(default)s)')
    return parser


def _check(args: argparse.Namespace) -> None:
    pick_styles(args.styles)
    check_names('class', args.classes, OBJECTS)
    limits = {'size': 32, 'seed': 0, 'workers': 1} | ({'train': 0, 'val': 0} if args.format == 'isaid' else {'num': 0})
    for name, low in limits.items():
        if getattr(args, name) < low:
            raise ValueError(f'--{name} {getattr(args, name)} is too small; it starts at {low}')
    if not 0.5 <= args.coarser <= 4:
        raise ValueError(f'--coarser {args.coarser} is out of range; it lies between 0.5 and 4')


def generate(args: argparse.Namespace) -> int:
    """Makes what is missing of the data set and returns the number of new images."""
    _check(args)
    sources = {
        stream: Source(args.seed, stream, args.size, args.styles, args.classes, args.coarser) for stream in STREAMS
    }
    plan = plan_pool(sources['pool'], args.num, args.degraded, args.off_domain) if args.format == 'unlabeled' else []
    ignored = ('out', 'workers')
    keep_settings(args.out, {'generator': GENERATOR} | {k: v for k, v in vars(args).items() if k not in ignored})
    if args.format == 'isaid':
        return make_isaid(args.out, {'train': args.train, 'val': args.val}, sources, args.workers)
    return make_pool(args.out, plan, sources['pool'], args.workers)


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

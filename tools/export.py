"""Write a segmentor as a file for ONNX Runtime, OpenVINO or torch, compared with torch before it gets its name.

The file takes images of any number and size and gives probabilities of classes; it tells its classes, colors, bands and
values. tools/predict.py runs it on scenes. docs/export.md describes it.
"""
import argparse
import sys
from collections.abc import Mapping

import s5_mm  # noqa: F401  before torch, since it chooses how threads wait

# isort: split

from mmengine.config import DictAction

from s5_mm.apis import load_config
from s5_mm.errors import one_line_errors
from s5_mm.export import FORMATS, TOLERANCE, Agreement, export


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a segmentor')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, metavar='FILE', help=f'file to write: {suffixes()}')
    parser.add_argument('--format', choices=FORMATS, default='onnx', help='default %(default)s')
    parser.add_argument('--dataset', metavar='NAME', help='dataset whose classes are predicted, of several; its expert '
                        'is merged')
    parser.add_argument('--preprocessing', choices=['in', 'out'], default='in',
                        help='whether the file takes bytes and normalizes them itself (default), or takes normalized '
                        'values')
    parser.add_argument('--tolerance', type=float, default=TOLERANCE, metavar='SHARE',
                        help='largest difference of a probability from torch\'s; default %(default)s')
    parser.add_argument('--force', action='store_true', help='replace a file that exists')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override settings')
    return parser.parse_args(argv)


def suffixes() -> str:
    """Format and suffix of its files."""
    return ', '.join(f'{name} {form.suffix}' for name, form in FORMATS.items())


def summary(path: str, check: Mapping[str, float]) -> str:
    """What was written."""
    return f'{path}: {Agreement(**check)}'


def main(argv: list[str] | None = None) -> None:
    """Export."""
    args = parse_args(argv)
    told = export(load_config(args.config, cfg_options=args.cfg_options), args.checkpoint, args.out, args.format,
                  args.dataset, args.preprocessing == 'in', args.tolerance, args.force)
    print(summary(args.out, told.check))


def run() -> None:
    """Export; an error is one line."""
    try:
        with one_line_errors('export'):
            main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'export: error: {error}')


if __name__ == '__main__':
    run()

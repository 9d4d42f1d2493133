"""Write a config that scripts of mmseg and mmdet understand: test.py --tta, confusion_matrix.py, inference demos.

See docs/hosts.md.
"""
import argparse
from pathlib import Path

from s5_mm.apis import host_config
from s5_mm.errors import one_line_errors
from s5_mm.files import write_text


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of this package')
    parser.add_argument('out', type=Path, help='config file to write, *.py')
    parser.add_argument('--dataset', metavar='NAME', help='dataset whose images are predicted, of several')
    return parser.parse_args(argv)


@one_line_errors('host_config')
def main(argv: list[str] | None = None) -> None:
    """Write the config."""
    args = parse_args(argv)
    if args.out.suffix != '.py':
        raise ValueError(f'the file to write is {args.out}; its name must end in .py.')
    write_text(args.out, host_config(args.config, args.dataset).pretty_text)
    print(args.out)


if __name__ == '__main__':
    main()

"""Convert weights: published S5, MAE, timm and mmpretrain files to the names of s5_mm, and models of s5_mm back to the
published layout."""
import argparse

from s5_mm.checkpoints.conversion import TARGETS, convert_checkpoint


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='file to convert, .pth or .safetensors')
    parser.add_argument('out', help='file to write, .pth or .safetensors')
    parser.add_argument('--to', choices=TARGETS, required=True, help='format of the new file')
    parser.add_argument('--force', action='store_true', help='replace the file if it exists')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Convert, or print in one line why a file cannot be converted."""
    args = parse_args(argv)
    try:
        converted = convert_checkpoint(args.checkpoint, args.out, args.to, args.force)
    except (OSError, ValueError) as error:
        raise SystemExit(f'convert.py: {error}') from error
    print(f'{converted.table}\n{args.out}: {converted.origin["layout"]}, {len(converted.weights)} tensors.')


if __name__ == '__main__':
    main()

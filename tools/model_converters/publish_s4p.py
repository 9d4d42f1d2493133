"""Write the encoder of an S4P, supervised or MAE checkpoint to a file of its own, from which the next stage starts."""
import argparse

from s5_mm.checkpoints.parts import PARTS
from s5_mm.checkpoints.publish import publish_encoder
from s5_mm.errors import one_line_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='of a FixMatchSegmentor, an EncoderDecoder or a MaskedAutoencoder')
    parser.add_argument('out', help='file to write, .pth or .safetensors')
    parser.add_argument('--part', choices=['auto', *PARTS], default='auto',
                        help='which network of FixMatch; default the evaluated one: the teacher once it was updated')
    parser.add_argument('--force', action='store_true', help='replace the file if it exists')
    return parser.parse_args(argv)


@one_line_errors('publish_s4p')
def main(argv: list[str] | None = None) -> None:
    """Publish."""
    args = parse_args(argv)
    part, weights = publish_encoder(args.checkpoint, args.out, args.part, args.force)
    millions = sum(value.numel() for value in weights.values()) / 1e6
    print(f'{args.out}: encoder of the {part}, {len(weights)} tensors, {millions:.1f} M numbers. '
          f"Start from it with backbone.init_cfg=dict(type='Pretrained', checkpoint={args.out!r}).")


if __name__ == '__main__':
    main()

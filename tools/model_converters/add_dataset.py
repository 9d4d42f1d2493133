"""Grow a trained model of several datasets by one: an expert and a decoder, copies of another dataset's."""
import argparse

from s5_mm.apis import load_config
from s5_mm.apis.convert import grow_checkpoint
from s5_mm.errors import one_line_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of the MultiDatasetSegmentor')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('name', help='name of the new dataset')
    parser.add_argument('out', help='weights to write, .pth or .safetensors; a config goes beside it, as .py')
    parser.add_argument('--from', dest='source', required=True, metavar='DATASET',
                        help='dataset whose expert, decoder and settings are copied')
    parser.add_argument('--num-classes', type=int, required=True, metavar='N', help='classes of the new dataset')
    parser.add_argument('--with-classifier', action='store_true',
                        help='copy the classifier too, where the classes are the same; else it is new')
    parser.add_argument('--train-new-only', action='store_true',
                        help='let the config train the new expert and decoder alone and freeze all else')
    parser.add_argument('--force', action='store_true', help='replace files that exist')
    return parser.parse_args(argv)


@one_line_errors('add_dataset')
def main(argv: list[str] | None = None) -> None:
    """Grow."""
    args = parse_args(argv)
    cfg = load_config(args.config)
    config = grow_checkpoint(cfg, args.checkpoint, args.name, args.source, args.out, args.num_classes,
                             args.with_classifier, args.train_new_only, args.force)
    print(f'{args.out}: the model with {args.name}, a copy of {args.source}. Add the data of {args.name} to {config}, '
          f'then train with python tools/train.py {config}')


if __name__ == '__main__':
    main()

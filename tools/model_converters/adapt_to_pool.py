"""Adapt a trained segmentor to a pool of unlabeled images: statistics of batch norms, and class shares if wanted."""
import argparse

from mmengine.config import DictAction

from s5_mm.apis import load_config
from s5_mm.apis.adapt import adapt_to_pool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of the model, with the pool among its sources')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('out', help='weights to write, .pth or .safetensors; test them with the same config')
    parser.add_argument('--batches', type=int, default=40, help='batches of the pool (default: %(default)s)')
    parser.add_argument('--keep-batch-norm', action='store_true', help='leave batch norms as they are')
    parser.add_argument('--shares', type=float, nargs='+', metavar='SHARE',
                        help='class shares to align to, one for each class (see tools/analysis/class_counts.py)')
    parser.add_argument('--exponent', type=float, default=1.0, help='below 1 for half measures (default: %(default)s)')
    parser.add_argument('--source', default='unlabeled', help='name of the pool (default: %(default)s)')
    parser.add_argument('--force', action='store_true', help='replace the file if it exists')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override settings')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Adapt."""
    args = parse_args(argv)
    cfg = load_config(args.config, cfg_options=args.cfg_options)
    adapt_to_pool(cfg, args.checkpoint, args.out, args.batches, not args.keep_batch_norm, args.shares, args.exponent,
                  args.source, args.force)
    print(f'{args.out}: test it with python tools/test.py {args.config} {args.out}')


if __name__ == '__main__':
    main()

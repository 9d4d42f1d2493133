"""Count the pixels of each class in the labeled images of a config, for sampling of rare classes and for alignment."""
import argparse
from pathlib import Path

import s5_mm  # noqa: F401  before torch, since it chooses how threads wait

# isort: split

from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from prettytable import PrettyTable

from s5_mm.apis import load_config
from s5_mm.datasets.class_counts import ClassCounts, count_pixels
from s5_mm.registry import DATASETS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of a training with sources')
    parser.add_argument('out', type=Path, help='file to write, .npz')
    parser.add_argument('--source', default='labeled', help='name of the source (default: %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override settings')
    args = parser.parse_args(argv)
    if args.out.suffix != '.npz':
        parser.error(f'out is {args.out}; it must end with .npz')
    return args


def as_table(counts: ClassCounts, classes: list[str]) -> str:
    """Images and share of each class, and the shares as a line for a config."""
    table = PrettyTable(['class', 'images', 'share (%)'])
    for name, number, share in zip(classes, (counts.pixels > 0).sum(axis=0), counts.shares, strict=True):
        table.add_row([name, number, f'{100 * share:.3f}'])
    table.align = 'r'
    return f'{table}\nshares=[{", ".join(f"{share:.6g}" for share in counts.shares)}]'


def main(argv: list[str] | None = None) -> None:
    """Count, write and print."""
    args = parse_args(argv)
    cfg = load_config(args.config, cfg_options=args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    sources = cfg.train_dataloader.dataset.get('sources', {})
    if args.source not in sources:
        raise SystemExit(f'--source is {args.source!r}; the config has the sources {sorted(sources) or "none"}')
    dataset = DATASETS.build(sources[args.source])
    counts = count_pixels(dataset)
    counts.save(args.out)
    print(as_table(counts, list(dataset.metainfo['classes'])))


if __name__ == '__main__':
    main()

"""Print the number of parameters and of multiply-adds of a config's model."""
import argparse
import json

from mmengine.config import DictAction
from prettytable import PrettyTable

from s5_mm.analysis import ModelStats, count_model, input_size
from s5_mm.apis import load_config


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--size', type=int, nargs='+', metavar='PX',
                        help="side, or height and width, of the image; default the config's crop size")
    parser.add_argument('--dataset', metavar='NAME',
                        help='dataset of the image, for a model of several datasets; default: the first')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings, e.g. model.decode_head.channels=128 (FixMatch: '
                             'model.segmentor.decode_head...)')
    args = parser.parse_args(argv)
    if args.size and (len(args.size) > 2 or min(args.size) < 1):
        parser.error(f'--size {" ".join(map(str, args.size))}: give one side, or height and width, in pixels')
    return args


def as_table(stats: ModelStats) -> str:
    """The figures as a table."""
    figures = stats.as_dict()
    table = PrettyTable(['part', 'parameters (M)'])
    for part, name in (('encoder', 'encoder_m'), ('decoder', 'decoder_m'), ('model', 'parameters_m')):
        table.add_row([part, figures[name]])
    table.align = 'r'
    height, width = stats.size
    of = f' of dataset {stats.dataset}' if stats.dataset else ''
    return f'{table}\n{figures["multiply_adds_g"]} G multiply-adds for one image of {width}x{height} px{of}'


def main(argv: list[str] | None = None) -> None:
    """Count and print."""
    args = parse_args(argv)
    cfg = load_config(args.config, cfg_options=args.cfg_options)
    size = tuple(args.size * 2)[:2] if args.size else input_size(cfg)
    stats = count_model(cfg, size, args.dataset)
    print(json.dumps(stats.as_dict(), indent=2) if args.json else as_table(stats))


if __name__ == '__main__':
    main()

"""Write one dataset's part of a MoE-MDF model as a plain segmentor, with the size and speed of the dense model."""
import argparse

from mmengine.config import DictAction

from s5_mm.apis import load_config
from s5_mm.apis.convert import merge_checkpoint
from s5_mm.errors import one_line_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of the MultiDatasetSegmentor')
    parser.add_argument('checkpoint', help='its checkpoint; published MoE-MDF files too')
    parser.add_argument('dataset', help='dataset whose expert and decoder are kept')
    parser.add_argument('out', help='weights to write, .pth or .safetensors; the config goes beside it, as .py')
    parser.add_argument('--force', action='store_true', help='replace files that exist')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings of the config')
    return parser.parse_args(argv)


@one_line_errors('merge_experts')
def main(argv: list[str] | None = None) -> None:
    """Merge."""
    args = parse_args(argv)
    cfg = load_config(args.config, cfg_options=args.cfg_options)
    config = merge_checkpoint(cfg, args.checkpoint, args.dataset, args.out, args.force)
    print(f'{args.out}: plain segmentor for {args.dataset}. Test it with python tools/test.py {config} {args.out}')


if __name__ == '__main__':
    main()

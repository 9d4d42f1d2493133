"""Test a checkpoint: print the metrics of the config's test set."""
import argparse
import json
from pathlib import Path

from mmengine.config import DictAction
from mmengine.runner import Runner

from s5_mm.apis import load_config, prepare_for_cpu


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='where logs go; default work_dirs/NAME_OF_CONFIG')
    parser.add_argument('--json', metavar='FILE', help='write the metrics there')
    parser.add_argument('--out', metavar='DIR', help='write predicted class ids as PNG there')
    parser.add_argument('--show-dir', metavar='DIR',
                        help='write predictions drawn on the images to DIR/vis_data/vis_image')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings, e.g. test_dataloader.batch_size=4')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Test."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.work_dir, args.cfg_options, args.launcher)
    cfg.load_from = args.checkpoint
    if args.out:
        cfg.test_evaluator.update(output_dir=args.out)
    if args.show_dir:
        cfg.default_hooks.visualization = dict(type='SegVisualizationHook', draw=True, interval=1)
        cfg.visualizer.save_dir = args.show_dir
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='s5_mm.CheckpointFitHook')]
    prepare_for_cpu(cfg)
    metrics = Runner.from_cfg(cfg).test()
    if args.json:
        part = Path(f'{args.json}.part')
        part.write_text(json.dumps(metrics, indent=2))
        part.replace(args.json)


if __name__ == '__main__':
    main()

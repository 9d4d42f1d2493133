"""Train a model from a config."""
import argparse

from mmengine.config import DictAction

from s5_mm.apis import (
    build_runner,
    enable_amp,
    end_process,
    load_config,
    naming_lost_processes,
    prepare_for_cpu,
    set_resume,
)
from s5_mm.errors import one_line_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where checkpoints and logs go; default work_dirs/NAME_OF_CONFIG')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='resume from CHECKPOINT; without a name from the latest in the work dir, if any')
    parser.add_argument('--amp', action='store_true', help='train in bfloat16 (GPU or CPU)')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help="scale the learning rate by the actual batch size / the config's base_batch_size")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings, e.g. train_cfg.max_iters=1000')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    return parser.parse_args(argv)


@one_line_errors('train')
def main(argv: list[str] | None = None) -> None:
    """Train."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.work_dir, args.cfg_options, args.launcher)
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(f'--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in {args.config}.')
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        set_resume(cfg, None if args.resume == 'auto' else args.resume)
    with naming_lost_processes():
        prepare_for_cpu(cfg)
        build_runner(cfg).train()


if __name__ == '__main__':
    main()
    end_process()

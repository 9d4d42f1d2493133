"""Test a checkpoint: print the metrics of the config's test set, or of its several test sets."""
import argparse

from mmengine.config import DictAction

from s5_mm.apis import (
    build_runner,
    enable_visualization,
    end_process,
    load_config,
    naming_lost_processes,
    prepare_for_cpu,
    select_datasets,
    write_json,
    write_predictions,
)
from s5_mm.errors import one_line_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='where logs go; default work_dirs/NAME_OF_CONFIG')
    parser.add_argument('--dataset', nargs='+', metavar='NAME',
                        help='of a config with several datasets test these alone')
    parser.add_argument('--json', metavar='FILE', help='write the metrics there')
    parser.add_argument('--out', metavar='DIR|FILE.zip',
                        help='write predicted class indices (0 is the first class) as PNG there, or detections as '
                        'detections.zip and detections.npz; of several datasets to DIR/NAME')
    parser.add_argument('--show-dir', metavar='DIR',
                        help='write predictions drawn on the images, in the colors of their dataset, to '
                        'DIR/vis_data/vis_image')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings, e.g. test_dataloader.batch_size=4')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    return parser.parse_args(argv)


@one_line_errors('test')
def main(argv: list[str] | None = None) -> None:
    """Test."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.work_dir, args.cfg_options, args.launcher)
    cfg.load_from = args.checkpoint
    if args.dataset:
        select_datasets(cfg, args.dataset)
    if args.out:
        write_predictions(cfg, args.out)
    if args.show_dir:
        enable_visualization(cfg, args.show_dir)
    with naming_lost_processes():
        prepare_for_cpu(cfg)
        metrics = build_runner(cfg).test()
    if args.json:
        write_json(metrics, args.json)


if __name__ == '__main__':
    main()
    end_process()

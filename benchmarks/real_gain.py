"""What semi-supervised methods gain on real imagery: Dubai in 7 tiles, a part of the training crops labeled.

Every run starts from the same encoder and takes the same number of optimizer steps with the same number of labeled
samples. Supervised training runs at two rates and two lengths, with color jitter, and the best counts. The control is
FixMatch with its teacher but without the unlabeled loss: what a method gains over it is that loss's doing. All are
tested on tile 7. The data come from data_prep/mbrsc.py. Finished runs are kept when the command is repeated.
"""
import argparse
import json
import os
import platform
import statistics
from datetime import date
from pathlib import Path

from commands import run_command
from prettytable import PrettyTable

from s5_mm.files import write_json

NAME = 'configs/real/{}_vit-t_upernet_mbrsc-128x128.py'
STEPS = 800
RATES = (1e-3, 3e-4)
SUPERVISED = {
    f'supervised, {length} x steps, rate {rate:g}': ('supervised', length, {'optim_wrapper.optimizer.lr': rate})
    for length in (1, 2) for rate in RATES
}
METHODS = {
    'control': ('fixmatch', 1, {'model.unlabeled_weight': 0}),
    'FixMatch': ('fixmatch', 1, {}),
    'UniMatch V2': ('unimatch-v2', 1, {}),
    'UniMatch V2, by class': ('unimatch-v2-aligned', 1, {}),
}
# Name -> config, length as a multiple of the steps, settings.
RUNS = SUPERVISED | METHODS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=Path('data/mbrsc'), help='output of data_prep/mbrsc.py')
    parser.add_argument('--budget', type=int, choices=(4, 8, 16), default=8,
                        help='one of how many training crops is labeled (default: %(default)s)')
    parser.add_argument('--seeds', type=int, nargs='+', choices=(0, 1, 2), default=[0, 1, 2], help='default: 0 1 2')
    parser.add_argument('--runs', nargs='+', choices=list(RUNS), default=list(RUNS), help='default: all')
    parser.add_argument('--steps', type=int, default=STEPS, help='steps of the optimizer (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/real_gain'), help='where the runs go')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/real_gain.json'),
                        help='result file (default: %(default)s)')
    args = parser.parse_args(argv)
    if args.steps < 60:
        parser.error(f'--steps is {args.steps}; the warm-up alone takes 50, give at least 60')
    if not (args.data / 'lists').is_dir():
        parser.error(f'--data {args.data} has no lists/; make it with data_prep/mbrsc.py SRC {args.data}')
    return args


def settings(args: argparse.Namespace, name: str, seed: int) -> list[str]:
    """``KEY=VALUE`` settings of a run."""
    config, length, options = RUNS[name]
    lists = f'1_of_{args.budget}_seed_{seed}.txt'
    steps = args.steps * length
    sources = 'train_dataloader.dataset.sources'
    found = {
        'randomness.seed': seed, 'train_cfg.max_iters': steps, 'train_cfg.val_interval': steps,
        'default_hooks.checkpoint.interval': steps, 'param_scheduler.1.end': steps,
        f'{sources}.labeled.data_root': args.data, f'{sources}.labeled.ann_file': f'lists/labeled_{lists}',
        'val_dataloader.dataset.data_root': args.data, 'test_dataloader.dataset.data_root': args.data, **options}
    if config != 'supervised':
        found |= {f'{sources}.unlabeled.source': args.data / f'lists/unlabeled_{lists}',
                  f'{sources}.unlabeled.data_root': args.data / 'img_dir/train'}
    if config == 'unimatch-v2-aligned':
        found['custom_hooks.6.end'] = steps // 2  # of the ramp
    return [f'{key}={value}' for key, value in found.items()]


def score(args: argparse.Namespace, name: str, seed: int) -> dict[str, object]:
    """Train and test; returns mIoU and the IoU of each class in percent, and the seconds of training."""
    folder = args.work_dir / f'1_of_{args.budget}' / f'seed{seed}' / name.replace(', ', '_').replace(' ', '-')
    result = folder / f'result_{args.steps}.json'
    if result.exists():
        return json.loads(result.read_text())
    config, length, _ = RUNS[name]
    options = settings(args, name, seed)
    seconds = run_command('tools/train.py', NAME.format(config), '--work-dir', folder, '--resume', '--cfg-options',
                          *options, log=folder / 'train.log')
    metrics = folder / 'metrics.json'
    run_command('tools/test.py', NAME.format(config), folder / f'iter_{args.steps * length}.pth', '--work-dir',
                folder / 'test', '--json', metrics, '--cfg-options', *options, log=folder / 'test.log')
    found = json.loads(metrics.read_text())
    scores = {'mIoU': found['mIoU'], 'seconds': round(seconds),
              'IoU': {key[4:]: value for key, value in found.items() if key.startswith('IoU.')}}
    write_json(result, scores)
    return scores


def gains(seeds: list[dict[str, dict]], name: str, others: list[str]) -> dict[str, object] | None:
    """What a way gains over the best of others on each seed, and in the mean; ``None`` if none of these was run."""
    others = [other for other in others if other in seeds[0] and other != name]
    if not others:
        return None
    each = [round(scores[name]['mIoU'] - max(scores[other]['mIoU'] for other in others), 2) for scores in seeds]
    return {'each': each, 'mean': round(statistics.mean(each), 2)}


def show(seeds: list[dict[str, dict]], numbers: list[int]) -> None:
    """Print the paired table."""
    table = PrettyTable(['mIoU on tile 7', *(f'seed {n}' for n in numbers), 'mean', 'spread', 'over supervised',
                         'over control'])
    for name in seeds[0]:
        scores = [found[name]['mIoU'] for found in seeds]
        over = [gains(seeds, name, others) if name in METHODS else None for others in (list(SUPERVISED), ['control'])]
        table.add_row([name, *scores, round(statistics.mean(scores), 2), round(max(scores) - min(scores), 2),
                       *('' if gain is None else ' '.join(f'{x:+.2f}' for x in gain['each']) for gain in over)])
    print(table)


def main(argv: list[str] | None = None) -> None:
    """Run everything."""
    args = parse_args(argv)
    seeds = []
    for seed in args.seeds:
        seeds.append({name: score(args, name, seed) for name in args.runs})
        print(f'seed {seed}: { {name: scores["mIoU"] for name, scores in seeds[-1].items()} }', flush=True)
    methods = [name for name in args.runs if name in METHODS]
    write_json(args.out, {
        'budget': f'1/{args.budget}', 'steps': args.steps, 'date': str(date.today()),
        'machine': f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores',
        'seeds': dict(zip(map(str, args.seeds), seeds, strict=True)),
        'gain': {name: {'over_supervised': gains(seeds, name, list(SUPERVISED)),
                        'over_control': gains(seeds, name, ['control'])} for name in methods},
    })
    show(seeds, args.seeds)


if __name__ == '__main__':
    main()

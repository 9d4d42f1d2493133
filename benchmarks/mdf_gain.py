"""One network for four synthetic data sets against one for each: SDF, MDF, MoE-MDF at equal samples of each data set.

All start from the same S4P weights, those of `make quickstart` unless told otherwise. Written are mIoU of each data
set and seed, the means, and the parameters of all networks of a way together.
"""

import argparse
import os
import platform
import statistics
from datetime import date
from pathlib import Path

from landcover_task import SCENES, count_parameters, make_landcover, mean_scores, run_ways
from prettytable import PrettyTable
from synthetic_task import write_json

QUICKSTART = Path('work_dirs/quickstart/s4p/iter_500.pth')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, default=3, help='number of seeds, 0, 1, ... (default: 3)')
    parser.add_argument('--start', type=Path, default=QUICKSTART, help='S4P checkpoint (default: %(default)s)')
    parser.add_argument('--iters', type=int, default=100, help='optimizer steps of each run (default: %(default)s)')
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs side by side; set OMP_NUM_THREADS to their share of the cores'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/mdf_gain'), help='where the runs go')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/mdf_gain.json'), help='JSON to write')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run all seeds; finished runs are kept, interrupted ones go on."""
    args = parse_args(argv)
    if not args.start.is_file():
        raise FileNotFoundError(f'{args.start} is not there; make quickstart trains one, --start names another.')
    make_landcover(args.work_dir / 'logs')
    length = dict.fromkeys(('train_cfg__max_iters', 'train_cfg__val_interval', 'param_scheduler__1__end',
                            'default_hooks__checkpoint__interval'), args.iters)
    seeds = []
    for seed in range(args.seeds):
        seeds.append(run_ways(args.work_dir / f'seed{seed}', args.jobs, randomness__seed=seed, **length,
                              model__init_cfg__checkpoint=args.start))
        print(f'seed {seed}: {mean_scores(seeds[-1])}', flush=True)
    result = summary(seeds, args.iters)
    write_json(args.out, result)
    show(result)


def summary(seeds: list[dict], iters: int) -> dict:
    """The result file."""
    means = [mean_scores(seed) for seed in seeds]
    parameters = count_parameters()
    return {
        'command': f'python benchmarks/mdf_gain.py --seeds {len(seeds)} --iters {iters}',
        'machine': f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores',
        'date': str(date.today()),
        'seeds': seeds,
        'means': means,
        'mean': {way: round(statistics.mean(mean[way] for mean in means), 2) for way in means[0]},
        'parameters': parameters,
        'share_of_sdf': {way: round(count / parameters['sdf'], 3) for way, count in parameters.items()},
    }


def show(result: dict) -> None:
    """Print the table: means over the seeds of each data set, means of each seed, parameters."""
    ways = list(result['mean'])
    table = PrettyTable(['mIoU', *ways])
    for name in SCENES:
        table.add_row([name, *(round(statistics.mean(seed[way][name] for seed in result['seeds']), 2) for way in ways)])
    for seed, mean in enumerate(result['means']):
        table.add_row([f'mean, seed {seed}', *(mean[way] for way in ways)])
    table.add_row(['mean', *(result['mean'][way] for way in ways)])
    table.add_row(['parameters, M', *(f'{result["parameters"][way] / 1e6:.2f}' for way in ways)])
    table.add_row(['share of SDF', *(f'{result["share_of_sdf"][way]:.0%}' for way in ways)])
    print(table)


if __name__ == '__main__':
    main()

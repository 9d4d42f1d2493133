"""One network for four synthetic datasets against one for each: SDF, MDF, MoE-MDF at equal samples of each dataset.

All start from the same S4P weights, those of `make quickstart` unless told otherwise. Every way is trained at each of
the learning rates, since a step of one network for all has four times the images; the rate with the best mean over
datasets and seeds counts. Written are mIoU of each dataset and seed, the means, and the parameters of all networks of
a way together.
"""

import argparse
import os
import platform
import statistics
from datetime import date
from pathlib import Path

from landcover_task import SCENES, count_parameters, make_landcover, mean_scores, run_ways
from prettytable import PrettyTable

from s5_mm.files import write_json

QUICKSTART = Path('work_dirs/quickstart/s4p/iter_500.pth')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, default=3, help='number of seeds, 0, 1, ... (default: 3)')
    parser.add_argument('--start', type=Path, default=QUICKSTART, help='S4P checkpoint (default: %(default)s)')
    parser.add_argument('--iters', type=int, default=100, help='optimizer steps of each run (default: %(default)s)')
    parser.add_argument('--rates', nargs='+', type=float, default=[1e-3, 2e-3],
                        help='learning rates that each way is trained at (default: 0.001 0.002)')
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
    scores: dict[float, list[dict]] = {rate: [] for rate in args.rates}
    for rate, seeds in scores.items():
        for seed in range(args.seeds):
            seeds.append(run_ways(
                args.work_dir / f'rate{rate:g}_seed{seed}', args.jobs, randomness__seed=seed, **length,
                optim_wrapper__optimizer__lr=rate, model__init_cfg__checkpoint=args.start))
            print(f'rate {rate:g}, seed {seed}: {mean_scores(seeds[-1])}', flush=True)
    result = summary(scores, args.iters)
    write_json(args.out, result)
    show(result)


def summary(scores: dict[float, list[dict]], iters: int) -> dict:
    """The result file.

    Args:
        scores: Learning rate -> for each seed, way -> dataset -> mIoU.
        iters: Optimizer steps.
    """
    of_rates = {rate: mean_of([mean_scores(seed) for seed in seeds]) for rate, seeds in scores.items()}
    ways = next(iter(of_rates.values()))
    rates = {way: max(of_rates, key=lambda rate, way=way: of_rates[rate][way]) for way in ways}
    number = len(next(iter(scores.values())))
    seeds = [{way: scores[rate][seed][way] for way, rate in rates.items()} for seed in range(number)]
    means = [mean_scores(seed) for seed in seeds]
    parameters = count_parameters()
    return {
        'command': f'python benchmarks/mdf_gain.py --seeds {number} --iters {iters} --rates '
                   f'{" ".join(f"{rate:g}" for rate in scores)}',
        'machine': f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores',
        'date': str(date.today()),
        'seeds': seeds,
        'means': means,
        'mean': mean_of(means),
        'mean_of_each_rate': of_rates,
        'rate': rates,
        'parameters': parameters,
        'share_of_sdf': {way: round(count / parameters['sdf'], 3) for way, count in parameters.items()},
    }


def mean_of(means: list[dict[str, float]]) -> dict[str, float]:
    """Mean over the seeds of each way."""
    return {way: round(statistics.mean(mean[way] for mean in means), 2) for way in means[0]}


def show(result: dict) -> None:
    """Print the table: means over the seeds of each dataset, means of each seed, parameters."""
    ways = list(result['mean'])
    table = PrettyTable(['mIoU', *ways])
    for name in SCENES:
        table.add_row([name, *(round(statistics.mean(seed[way][name] for seed in result['seeds']), 2) for way in ways)])
    for seed, mean in enumerate(result['means']):
        table.add_row([f'mean, seed {seed}', *(mean[way] for way in ways)])
    table.add_row(['mean', *(result['mean'][way] for way in ways)])
    table.add_row(['learning rate', *(f'{result["rate"][way]:g}' for way in ways)])
    table.add_row(['parameters, M', *(f'{result["parameters"][way] / 1e6:.2f}' for way in ways)])
    table.add_row(['share of SDF', *(f'{result["share_of_sdf"][way]:.0%}' for way in ways)])
    print(table)


if __name__ == '__main__':
    main()

"""What curation does to a pool with bad images in it, and to S4P that learns from what it chose.

The synthetic pool holds spoilt views and pictures that are no overhead views; which ones is known and used for counting
alone. As many images as the curated selection has are chosen at random and by entropy too; S4P trains on each, with the
same network, labels and steps.
"""

import argparse
import collections
import csv
import json
import os
import platform
import statistics
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path

from prettytable import PrettyTable
from synthetic_task import CONFIGS, DATA, make_data, score_pool, select_pool, test, train

from s5_mm.files import write_json

KINDS = ('clean', 'degraded', 'off_domain')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, default=3, help='number of seeds, 0, 1, ... (default: 3)')
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs side by side; set OMP_NUM_THREADS to their share of the cores'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/curation_gain'), help='where the runs go')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/curation_gain.json'), help='JSON to write')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Select in three ways and train on each; finished runs are kept."""
    args = parse_args(argv)
    logs = args.work_dir / 'logs'
    make_data(logs)
    score_pool(logs)
    curated = select_pool('curated', logs)
    size = json.loads((DATA / 'curation/curated.json').read_text())['selected']
    entropy = select_pool('entropy', logs, budget=size)
    # What is random is drawn anew for each seed.
    selections = {(name, seed): options for seed in range(args.seeds) for name, options in (
        ('curated', curated), ('random', select_pool('random', logs, budget=size, seed=seed)), ('entropy', entropy))}
    with ThreadPoolExecutor(args.jobs) as pool:
        scores = list(pool.map(partial(run, args.work_dir), selections.items()))
    lists = {which: listed(options) for which, options in selections.items()}
    result = summary(lists, dict(zip(selections, scores, strict=True)), args.seeds)
    write_json(args.out, result)
    show(result)


def run(work_dir: Path, selection: tuple[tuple[str, int], dict]) -> float:
    """mIoU of S4P on one selection with one seed."""
    (name, seed), options = selection
    folder = work_dir / f'seed{seed}'
    checkpoint = train(CONFIGS['s4p'], folder / name, randomness__seed=seed, **options)
    score = test(CONFIGS['s4p'], checkpoint, folder / f'{name}_test')['mIoU']
    print(f'{name}, seed {seed}: {score}', flush=True)
    return score


def listed(options: dict[str, object]) -> list[str]:
    """Paths of a selection, given the options with which training draws from it."""
    return next(Path(value) for key, value in options.items() if key.endswith('source')).read_text().split()


def kinds_of_pool() -> dict[str, str]:
    """Path -> what the image is."""
    with (DATA / 'unlabeled/pool.csv').open() as file:
        return {row['path']: row['kind'] for row in csv.DictReader(file)}


def shares(paths: Iterable[str], kinds: dict[str, str]) -> dict[str, float]:
    """Share of each kind among images, in per cent."""
    counts = collections.Counter(kinds[path] for path in paths)
    return {kind: round(100 * counts[kind] / counts.total(), 2) for kind in KINDS}


def summary(lists: dict[tuple[str, int], list[str]], scores: dict[tuple[str, int], float], seeds: int) -> dict:
    """The result file."""
    names = list(dict.fromkeys(name for name, _ in lists))
    kinds = kinds_of_pool()
    each = {name: [scores[name, seed] for seed in range(seeds)] for name in names}
    return {
        'command': f'python benchmarks/curation_gain.py --seeds {seeds}',
        'machine': f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores',
        'date': str(date.today()),
        'selected': {name: len(lists[name, 0]) for name in names},
        'kinds': {'pool': shares(kinds, kinds)} | {
            name: shares([path for seed in range(seeds) for path in lists[name, seed]], kinds) for name in names},
        'mIoU': each,
        'mean': {name: round(statistics.mean(values), 2) for name, values in each.items()},
    }


def show(result: dict) -> None:
    """Print the table."""
    seeds = len(result['mIoU']['curated'])
    table = PrettyTable(['selection', 'images', *(f'{kind}, %' for kind in KINDS),
                         *(f'mIoU, seed {seed}' for seed in range(seeds)), 'mean'])
    table.add_row(['pool', '', *result['kinds']['pool'].values(), *[''] * (seeds + 1)])
    for name, scores in result['mIoU'].items():
        table.add_row([name, result['selected'][name], *result['kinds'][name].values(), *scores, result['mean'][name]])
    print(table)


if __name__ == '__main__':
    main()

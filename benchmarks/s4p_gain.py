"""What S4P gains over supervised training on the synthetic task, and what its encoder is worth on another style.

Every run starts from the same network, uses the same labels and takes the same number of optimizer steps. Supervised
training is run in two ways, with the colour jitter that S4P's labeled images get too and without; the better counts.
The control is S4P with its teacher but without the unlabeled loss: what is gained over it is that loss's doing.
Transfer: each encoder, with a new decoder, is fine-tuned on a few labeled scenes of a style that none saw.
"""

import argparse
import os
import platform
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path

from prettytable import PrettyTable
from synthetic_task import CONFIGS, DATA, TRANSFER_STYLE, make_data, make_isaid, test, train, write_json

from s5_mm.apis import run_command

WEAK = 'configs/quickstart/supervised-weak_vit-t_upernet_synthetic-96x96.py'
TRANSFER = 'configs/quickstart/transfer_vit-t_upernet_synthetic-96x96.py'
RUNS = {
    'supervised': (CONFIGS['supervised'], {}),
    'supervised_weak': (WEAK, {}),
    'control': (CONFIGS['s4p'], {'model__unlabeled_weight': 0}),
    's4p': (CONFIGS['s4p'], {}),
}
SUPERVISED = ('supervised', 'supervised_weak')
TRANSFERRED = ('supervised', 's4p')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, default=3, help='number of seeds, 0, 1, ... (default: 3)')
    parser.add_argument(
        '--jobs', type=int, default=1, help='seeds to run side by side; set OMP_NUM_THREADS to their share of the cores'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/s4p_gain'), help='where the runs go')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/s4p_gain.json'), help='JSON to write')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run all seeds; finished runs are kept, interrupted ones go on."""
    args = parse_args(argv)
    make_data(args.work_dir / 'logs')
    make_isaid('transfer', 'train', 60, TRANSFER_STYLE, seed=3, logs=args.work_dir / 'logs')
    make_isaid('transfer', 'val', 100, TRANSFER_STYLE, seed=4, logs=args.work_dir / 'logs')
    with ThreadPoolExecutor(args.jobs) as pool:
        seeds = list(pool.map(partial(run_seed, work_dir=args.work_dir), range(args.seeds)))
    write_json(args.out, summary(seeds))
    show(summary(seeds))


def run_seed(seed: int, work_dir: Path) -> dict[str, dict]:
    """Scores of every way to train, with one seed."""
    scores = {name: score(name, seed, work_dir / f'seed{seed}') for name in RUNS}
    print(f'seed {seed}: {scores}', flush=True)
    return scores


def score(name: str, seed: int, work_dir: Path) -> dict:
    """Train one way with one seed and test it; fine-tune some encoders on the other style."""
    config, options = RUNS[name]
    checkpoint = train(config, work_dir / name, randomness__seed=seed, **options)
    metrics = test(config, checkpoint, work_dir / f'{name}_test')
    found = {key[4:]: value for key, value in metrics.items() if key.startswith('IoU.') and value is not None}
    transfer = {'transfer_mIoU': transferred(name, checkpoint, seed, work_dir)} if name in TRANSFERRED else {}
    return {'mIoU': metrics['mIoU'], **transfer, 'IoU': found}


def transferred(name: str, checkpoint: Path, seed: int, work_dir: Path) -> float:
    """Cut the encoder out of a checkpoint, fine-tune it with a new decoder on the other style, and test that."""
    encoder = work_dir / f'{name}_encoder.safetensors'
    run_command('tools/model_converters/publish_s4p.py', checkpoint, encoder, '--force',
                log=work_dir / f'{name}_publish.log')
    start = dict(model__backbone__init_cfg__checkpoint=encoder)
    tuned = train(TRANSFER, work_dir / f'{name}_transfer', randomness__seed=seed, **start)
    return test(TRANSFER, tuned, work_dir / f'{name}_transfer_test', **start)['mIoU']


def summary(seeds: list[dict]) -> dict:
    """The result file: every score, and what S4P gains over the better supervised run of each seed."""

    def gains(key: str, others: tuple[str, ...]) -> dict:
        each = [round(s['s4p'][key] - max(s[name][key] for name in others), 2) for s in seeds]
        return {'each': each, 'mean': round(statistics.mean(each), 2)}

    commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True, check=False)
    return {
        'command': f'python benchmarks/s4p_gain.py --seeds {len(seeds)}',
        'machine': f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores',
        'date': str(date.today()),
        'commit': commit.stdout.strip(),
        'labeled_crops': len(list((DATA / 'isaid/img_dir/train').glob('*.png'))),
        'seeds': seeds,
        'gain': gains('mIoU', SUPERVISED),
        'gain_over_control': gains('mIoU', ('control',)),
        'transfer_gain': gains('transfer_mIoU', ('supervised',)),
    }


def show(result: dict) -> None:
    """Print the table."""
    numbers = [f'seed {i}' for i in range(len(result['seeds']))]
    table = PrettyTable(['', *numbers, 'mean'])
    for key, names, suffix in (('mIoU', RUNS, ''), ('transfer_mIoU', TRANSFERRED, ', transferred')):
        for name in names:
            scores = [seed[name][key] for seed in result['seeds']]
            table.add_row([name + suffix, *scores, round(statistics.mean(scores), 2)])
    for key in ('gain', 'gain_over_control', 'transfer_gain'):
        table.add_row([key, *(f'{x:+.2f}' for x in result[key]['each']), f'{result[key]["mean"]:+.2f}'])
    print(table)


if __name__ == '__main__':
    main()

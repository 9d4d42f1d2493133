"""What S4P gains over supervised training on the synthetic task, and what its encoder is worth on another style.

Every run starts from the same network, uses the same labels and takes the same number of optimizer steps. There are two
pairs: labeled images augmented weakly, as published, and with color jitter besides, for supervised training and S4P
alike. Supervised training runs at a third of the rate too; the better counts. The control is S4P with its teacher but
without the unlabeled loss: what is gained over it is that loss's doing. Transfer: each encoder, with a new decoder, is
fine-tuned on a few labeled scenes of a style that none saw.
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

from commands import run_command
from prettytable import PrettyTable
from synthetic_task import CONFIGS, DATA, TRANSFER_STYLE, make_data, make_isaid, test, train

from s5_mm.files import write_json

TRANSFER = 'configs/quickstart/transfer_vit-t_upernet_synthetic-96x96.py'
WEAK = {
    'supervised': 'configs/quickstart/supervised-weak_vit-t_upernet_synthetic-96x96.py',
    's4p': 'configs/quickstart/fixmatch-weak_vit-t_upernet_synthetic-96x96.py',
}
CONTROL = {'model__unlabeled_weight': 0}
LOW_RATE = {'optim_wrapper__optimizer__lr': 1e-4}
# Pair -> way to train -> config and options.
RUNS = {
    pair: {
        'supervised': (configs['supervised'], {}),
        'supervised_low_rate': (configs['supervised'], LOW_RATE),
        'control': (configs['s4p'], CONTROL),
        's4p': (configs['s4p'], {}),
    }
    for pair, configs in {'as_published': WEAK, 'with_jitter': CONFIGS}.items()
}
TRANSFERRED = ('supervised', 's4p')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, default=3, help='number of seeds, 0, 1, ... (default: 3)')
    parser.add_argument(
        '--jobs', type=int, default=1, help='seeds to run side by side; set OMP_NUM_THREADS to their share of the cores'
    )
    parser.add_argument('--pairs', nargs='+', choices=list(RUNS), default=list(RUNS),
                        help='as published, or with color jitter on the labeled images of both sides (default: both)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/s4p_gain'), help='where the runs go')
    parser.add_argument('--out-dir', type=Path, default=Path('benchmarks/results'),
                        help='where s4p_gain_PAIR.json is written (default: %(default)s)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run all seeds; finished runs are kept, interrupted ones go on."""
    args = parse_args(argv)
    make_data(args.work_dir / 'logs')
    make_isaid('transfer', 'train', 60, TRANSFER_STYLE, seed=3, logs=args.work_dir / 'logs')
    make_isaid('transfer', 'val', 100, TRANSFER_STYLE, seed=4, logs=args.work_dir / 'logs')
    for pair in args.pairs:
        with ThreadPoolExecutor(args.jobs) as pool:
            seeds = list(pool.map(partial(run_seed, pair, args.work_dir), range(args.seeds)))
        result = summary(pair, seeds)
        write_json(args.out_dir / f's4p_gain_{pair}.json', result)
        show(result)


def run_seed(pair: str, work_dir: Path, seed: int) -> dict[str, dict]:
    """Scores of every way to train of a pair, with one seed."""
    scores = {name: score(pair, name, seed, work_dir / f'seed{seed}') for name in RUNS[pair]}
    print(f'{pair}, seed {seed}: {scores}', flush=True)
    return scores


def score(pair: str, name: str, seed: int, work_dir: Path) -> dict:
    """Train one way with one seed and test it; fine-tune some encoders on the other style."""
    config, options = RUNS[pair][name]
    folder = work_dir / f'{pair}_{name}'
    checkpoint = train(config, folder, randomness__seed=seed, **options)
    metrics = test(config, checkpoint, work_dir / f'{folder.name}_test')
    found = {key[4:]: value for key, value in metrics.items() if key.startswith('IoU.') and value is not None}
    transfer = {'transfer_mIoU': transferred(folder, checkpoint, seed)} if name in TRANSFERRED else {}
    return {'mIoU': metrics['mIoU'], **transfer, 'IoU': found}


def transferred(folder: Path, checkpoint: Path, seed: int) -> float:
    """Cut the encoder out of a checkpoint, fine-tune it with a new decoder on the other style, and test that."""
    encoder = folder.with_name(f'{folder.name}_encoder.safetensors')
    run_command('tools/model_converters/publish_s4p.py', checkpoint, encoder, '--force',
                log=folder.with_name(f'{folder.name}_publish.log'))
    start = dict(model__backbone__init_cfg__checkpoint=encoder)
    tuned = train(TRANSFER, folder.with_name(f'{folder.name}_transfer'), randomness__seed=seed, **start)
    return test(TRANSFER, tuned, folder.with_name(f'{folder.name}_transfer_test'), **start)['mIoU']


def summary(pair: str, seeds: list[dict]) -> dict:
    """The result file of a pair: every score, and what S4P gains."""
    commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True, check=False)
    return {
        'pair': pair,
        'command': f'python benchmarks/s4p_gain.py --seeds {len(seeds)} --pairs {pair}',
        'machine': f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores',
        'date': str(date.today()),
        'commit': commit.stdout.strip(),
        'labeled_crops': len(list((DATA / 'isaid/img_dir/train').glob('*.png'))),
        'seeds': seeds,
        'gain': {
            'over_supervised': gain(seeds, 'mIoU', ('supervised', 'supervised_low_rate')),
            'over_control': gain(seeds, 'mIoU', ('control', )),
            'in_transfer': gain(seeds, 'transfer_mIoU', ('supervised', )),
        },
    }


def gain(seeds: list[dict], key: str, others: tuple[str, ...]) -> dict[str, object]:
    """What S4P gains over the best of other ways to train, on each seed and in the mean."""
    each = [round(seed['s4p'][key] - max(seed[name][key] for name in others), 2) for seed in seeds]
    return {'each': each, 'mean': round(statistics.mean(each), 2)}


def show(result: dict) -> None:
    """Print the table."""
    seeds = result['seeds']
    table = PrettyTable([result['pair'].replace('_', ' '), *(f'seed {i}' for i in range(len(seeds))), 'mean'])
    for key, suffix in (('mIoU', ''), ('transfer_mIoU', ', transferred')):
        for name in TRANSFERRED if suffix else seeds[0]:
            scores = [seed[name][key] for seed in seeds]
            table.add_row([name + suffix, *scores, round(statistics.mean(scores), 2)])
    for name, values in result['gain'].items():
        each = (f'{x:+.2f}' for x in values['each'])
        table.add_row([f'gain {name.replace("_", " ")}', *each, f'{values["mean"]:+.2f}'])
    print(table)


if __name__ == '__main__':
    main()

"""What S4P gains over supervised training on the synthetic task, and what its encoder is worth on another style.

Every run starts from the same network, uses the same labels and takes the same number of optimizer steps. Supervised
training is run in two ways, with the colour jitter that S4P's labeled images get too and without; the better counts.
Transfer: each encoder, with a new decoder, is fine-tuned on a few labeled scenes of a style that none saw.
"""

import argparse
import platform
import statistics
import subprocess
from datetime import date
from pathlib import Path

from prettytable import PrettyTable
from synthetic_task import CONFIGS, DATA, TRANSFER_STYLE, make_data, make_isaid, test, train, write_json

from s5_mm.apis import run_command

WEAK = 'configs/quickstart/supervised-weak_vit-t_upernet_synthetic-96x96.py'
TRANSFER = 'configs/quickstart/transfer_vit-t_upernet_synthetic-96x96.py'
RUNS = {'supervised': CONFIGS['supervised'], 'supervised_weak': WEAK, 's4p': CONFIGS['s4p']}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, default=3, help='number of seeds, 0, 1, ... (default: 3)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/s4p_gain'), help='where the runs go')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/s4p_gain.json'), help='JSON to write')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run all seeds; finished runs are kept, interrupted ones go on."""
    args = parse_args(argv)
    make_data(args.work_dir / 'logs')
    make_isaid('transfer', 'train', 60, TRANSFER_STYLE, seed=3, logs=args.work_dir / 'logs')
    make_isaid('transfer', 'val', 100, TRANSFER_STYLE, seed=4, logs=args.work_dir / 'logs')
    seeds = []
    for seed in range(args.seeds):
        scores = {name: score(name, seed, args.work_dir / f'seed{seed}') for name in RUNS}
        seeds.append(scores)
        print(f'seed {seed}: {scores}', flush=True)
        write_json(args.out, summary(seeds))
    show(summary(seeds))


def score(name: str, seed: int, work_dir: Path) -> dict[str, float]:
    """Train one way with one seed, test it, and fine-tune its encoder on the other style."""
    checkpoint = train(RUNS[name], work_dir / name, randomness__seed=seed)
    metrics = test(RUNS[name], checkpoint, work_dir / f'{name}_test')
    encoder = work_dir / f'{name}_encoder.safetensors'
    run_command('tools/model_converters/publish_s4p.py', checkpoint, encoder, '--force', log=work_dir / 'publish.log')
    start = dict(model__backbone__init_cfg__checkpoint=encoder)
    tuned = train(TRANSFER, work_dir / f'{name}_transfer', randomness__seed=seed, **start)
    transfer = test(TRANSFER, tuned, work_dir / f'{name}_transfer_test', **start)
    return {
        'mIoU': metrics['mIoU'],
        'transfer_mIoU': transfer['mIoU'],
        'IoU': {key[4:]: value for key, value in metrics.items() if key.startswith('IoU.') and value == value},
    }


def summary(seeds: list[dict]) -> dict:
    """The result file: every score, and the gain over the better supervised run of each seed."""

    def gains(key: str) -> list[float]:
        return [round(s['s4p'][key] - max(s[name][key] for name in RUNS if name != 's4p'), 2) for s in seeds]

    gain, transfer = gains('mIoU'), gains('transfer_mIoU')
    commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True, check=False)
    return {
        'command': f'python benchmarks/s4p_gain.py --seeds {len(seeds)}',
        'machine': f'{platform.machine()} {platform.system()}',
        'date': str(date.today()),
        'commit': commit.stdout.strip(),
        'labeled_crops': len(list((DATA / 'isaid/img_dir/train').glob('*.png'))),
        'seeds': seeds,
        'gain': {'each': gain, 'mean': round(statistics.mean(gain), 2)},
        'transfer_gain': {'each': transfer, 'mean': round(statistics.mean(transfer), 2)},
    }


def show(result: dict) -> None:
    """Print the table."""
    table = PrettyTable(
        ['training', *(f'mIoU, seed {i}' for i in range(len(result['seeds']))), 'mean', 'transfer, mean']
    )
    for name in RUNS:
        scores = [seed[name]['mIoU'] for seed in result['seeds']]
        transfer = [seed[name]['transfer_mIoU'] for seed in result['seeds']]
        table.add_row([name, *scores, round(statistics.mean(scores), 2), round(statistics.mean(transfer), 2)])
    table.add_row(
        [
            'gain over the better supervised',
            *result['gain']['each'],
            result['gain']['mean'],
            result['transfer_gain']['mean'],
        ]
    )
    print(table)


if __name__ == '__main__':
    main()

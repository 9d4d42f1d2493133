"""The synthetic task that the quickstart and the gain benchmark share: its data, its runs, its scores.

Few styles are labeled, the pool and the validation set hold many, one style is kept for transfer alone. Every step is a
command of the repository, run as a user would run it.
"""
import json
import os
from pathlib import Path

from s5_mm.apis import run_command

CONFIGS = {
    'supervised': 'configs/quickstart/supervised_vit-t_upernet_synthetic-96x96.py',
    's4p': 'configs/quickstart/fixmatch_vit-t_upernet_synthetic-96x96.py',
}
DATA = Path('data/quickstart')
CLASSES = 'storage_tank,plane,roundabout,ground_track_field,soccer_field,tennis_court,ship,large_vehicle'
LABELED_STYLES = 'temperate,arid'
POOL_STYLES = 'temperate,arid,tropical,winter,autumn,coastal_haze,old_sensor,dusk'
TRANSFER_STYLE = 'infrared'
SIZE = 192
CROP = 96


def make_isaid(name: str, styles: str, train: int, val: int, seed: int, logs: Path) -> None:
    """Scenes in the format of iSAID, and crops of them in ``DATA / name``; what exists is kept.

    Args:
        name: Folder below the data; several calls may fill different splits of one.
        styles: Comma-separated.
        train: Number of training scenes.
        val: Number of validation scenes.
        seed: Of the scenes.
        logs: Folder for the commands' output.
    """
    raw = DATA / f'{name}_raw_{seed}'
    split = 'train' if train else 'val'
    run_command('data_prep/synthetic.py', 'isaid', raw, '--train', train, '--val', val, '--styles', styles, '--classes',
                CLASSES, '--size', SIZE, '--seed', seed, '--workers', os.cpu_count(), log=logs / f'{raw.name}.log')
    splits = ['train', 'val'] if train and val else [split]
    run_command('data_prep/isaid.py', raw, DATA / name, '--splits', *splits, '--patch', SIZE, '--gap', 0, '--crop', CROP,
                '--workers', os.cpu_count(), log=logs / f'{raw.name}_crops.log')


def make_data(logs: Path) -> None:
    """Labeled scenes of two styles, validation scenes and an unlabeled pool of eight."""
    make_isaid('isaid', LABELED_STYLES, train=200, val=0, seed=0, logs=logs)
    make_isaid('isaid', POOL_STYLES, train=0, val=96, seed=1, logs=logs)
    run_command('data_prep/synthetic.py', 'unlabeled', DATA / 'unlabeled', '--num', 1200, '--styles', POOL_STYLES,
                '--classes', CLASSES, '--size', SIZE, '--seed', 2, '--degraded', 0.05, '--off-domain', 0.05, '--workers',
                os.cpu_count(), log=logs / 'unlabeled.log')


def train(config: str, work_dir: Path, **options: object) -> Path:
    """Run ``tools/train.py``, going on where an interrupted run stopped; a finished one is kept.

    Args:
        config: Config file.
        work_dir: Where the run writes; its output goes to ``train.log`` there.
        options: ``cfg-options``, with ``__`` for the dots.

    Returns:
        The last checkpoint.
    """
    run_command('tools/train.py', config, '--work-dir', work_dir, '--resume', *_cfg_options(options),
                log=work_dir / 'train.log')
    return Path((work_dir / 'last_checkpoint').read_text().strip())


def test(config: str, checkpoint: Path, work_dir: Path, **options: object) -> dict[str, float]:
    """Run ``tools/test.py`` and read the metrics; predicted ids go to ``work_dir / 'ids'``."""
    run_command('tools/test.py', config, checkpoint, '--work-dir', work_dir, '--json', work_dir / 'metrics.json', '--out',
                work_dir / 'ids', *_cfg_options(options), log=work_dir / 'test.log')
    return json.loads((work_dir / 'metrics.json').read_text())


def _cfg_options(options: dict[str, object]) -> list[str]:
    return ['--cfg-options', *(f'{name.replace("__", ".")}={value}' for name, value in options.items())] if options else []


def write_json(path: Path, content: dict) -> None:
    """Write a result file under a temporary name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.part')
    part.write_text(json.dumps(content, indent=2) + '\n')
    part.replace(path)

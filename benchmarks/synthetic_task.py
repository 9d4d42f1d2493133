"""The synthetic task that the quickstart and the gain benchmarks share: its data, its runs, its scores.

Four styles are labeled; two others, whose images alone are at hand, are what the network is wanted for: the unlabeled
pool and the validation set. One more is kept for transfer. Every step is a command of the repository, run as a user
would run it.
"""

import json
import os
from pathlib import Path

from commands import run_command

CONFIGS = {
    'supervised': 'configs/quickstart/supervised_vit-t_upernet_synthetic-96x96.py',
    's4p': 'configs/quickstart/fixmatch_vit-t_upernet_synthetic-96x96.py',
}
START = 'configs/quickstart/start.safetensors'
CURATION = 'configs/curation/synthetic_vit-t_upernet_96x96.py'
DATA = Path('data/quickstart')
CLASSES = 'tennis_court,baseball_diamond,ground_track_field,soccer_field,roundabout,harbor'
LABELED_STYLES = 'temperate,arid,autumn,coastal_haze'
POOL_STYLES = 'tropical,dusk'
TRANSFER_STYLE = 'winter'
LABELED = 6000
POOL = 3000
SIZE = 96
WORKERS = os.cpu_count()
SCENES = dict(classes=CLASSES, size=SIZE, coarser=2, workers=WORKERS)


def make_isaid(name: str, split: str, num: int, styles: str, seed: int, logs: Path) -> None:
    """Make scenes in the format of iSAID, and crops of them in ``DATA / name``; what exists is kept.

    Args:
        name: Folder below the data.
        split: ``'train'`` or ``'val'``.
        num: Number of scenes.
        styles: Comma-separated.
        seed: Of the scenes.
        logs: Folder for the commands' output.
    """
    raw = DATA / f'{name}_raw_{split}'
    number = dict(train=0, val=0) | {split: num}
    run_command('data_prep/synthetic.py', 'isaid', raw, styles=styles, seed=seed, **number, **SCENES,
                log=logs / f'{raw.name}.log')
    run_command('data_prep/isaid.py', raw, DATA / name, splits=split, patch=SIZE, gap=0, crop=SIZE, workers=WORKERS,
                log=logs / f'{raw.name}_crops.log')


def make_labeled(logs: Path) -> None:
    """The labeled scenes; crops without any object are left out, as for iSAID."""
    make_isaid('isaid', 'train', LABELED, LABELED_STYLES, seed=0, logs=logs)


def make_data(logs: Path) -> None:
    """Labeled scenes of four styles; validation scenes and an unlabeled pool of two others."""
    make_labeled(logs)
    make_isaid('isaid', 'val', 300, POOL_STYLES, seed=1, logs=logs)
    run_command('data_prep/synthetic.py', 'unlabeled', DATA / 'unlabeled', num=POOL, styles=POOL_STYLES, degraded=0.05,
                off_domain=0.05, seed=2, **SCENES, log=logs / 'unlabeled.log')


def make_benchmark(name: str, scenes: dict[str, object], prepared: dict[str, object], seed: int, logs: Path) -> None:
    """Make scenes in the files of a benchmark, and what training reads of them in ``DATA / name``; what exists is kept.

    Args:
        name: The benchmark, as the scripts of ``data_prep`` call it.
        scenes: Options of ``data_prep/synthetic.py``.
        prepared: Options of ``data_prep/NAME.py``.
        seed: Of the scenes.
        logs: Folder for the commands' output.
    """
    raw = DATA / f'{name}_raw'
    run_command('data_prep/synthetic.py', name, raw, seed=seed, workers=WORKERS, **scenes, log=logs / f'{name}.log')
    run_command(f'data_prep/{name}.py', raw, DATA / name, workers=WORKERS, **prepared,
                log=logs / f'{name}_prepared.log')


def score_pool(logs: Path) -> None:
    """Cluster the labeled images and score the pool with the network that all runs start from."""
    for step in ('prototypes', 'score'):
        run_command('data_prep/curate.py', step, CURATION, START, log=logs / f'curate_{step}.log')


def select_pool(strategy: str, logs: Path, **options: object) -> dict[str, object]:
    """Select from the scored pool.

    Args:
        strategy: As ``data_prep/curate.py select`` knows it.
        logs: Folder for the command's output.
        options: More of its options.

    Returns:
        What training needs to draw from the selection alone, as :func:`train` takes it.
    """
    name = '-'.join([strategy, *map(str, options.values())])
    run_command('data_prep/curate.py', 'select', CURATION, strategy=strategy, name=name, **options,
                log=logs / f'select_{name}.log')
    source = 'train_dataloader__dataset__sources__unlabeled__'
    return {f'{source}source': DATA / f'curation/{name}.txt', f'{source}data_root': DATA / 'unlabeled'}


def train(config: str, work_dir: Path, **options: object) -> Path:
    """Run ``tools/train.py``, going on where an interrupted run stopped; a finished one is kept.

    Args:
        config: Config file.
        work_dir: Where the run writes; its output goes to ``train.log`` there.
        options: ``cfg-options``, with ``__`` for the dots.

    Returns:
        The last checkpoint.
    """
    run_command('tools/train.py', config, '--resume', *_cfg_options(options), work_dir=work_dir,
                log=work_dir / 'train.log')
    return Path((work_dir / 'last_checkpoint').read_text().strip())


def test(config: str, checkpoint: Path, work_dir: Path, **options: object) -> dict[str, float]:
    """Run ``tools/test.py`` and read the metrics; predicted ids go to ``work_dir / 'ids'``."""
    run_command('tools/test.py', config, checkpoint, *_cfg_options(options), work_dir=work_dir, out=work_dir / 'ids',
                json=work_dir / 'metrics.json', log=work_dir / 'test.log')
    return json.loads((work_dir / 'metrics.json').read_text())


def _cfg_options(options: dict[str, object]) -> list[str]:
    return (
        ['--cfg-options', *(f'{name.replace("__", ".")}={value}' for name, value in options.items())] if options else []
    )

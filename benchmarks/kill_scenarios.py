"""What benchmarks/kill.py kills: training, preparation and curation, each with what it must come to."""
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from data_prep import curate, dota, isaid, synthetic
from s5_mm.checkpoints import read_checkpoint
from s5_mm.files import sha256_of
from tools import train

TRAINING = 'configs/quickstart/fixmatch_vit-t_upernet_synthetic-96x96.py'
CURATION = 'configs/curation/synthetic_vit-t_upernet_96x96.py'
START = 'configs/quickstart/start.safetensors'


@dataclass(frozen=True)
class Scenario:
    """Something that is killed.

    Attributes:
        run: Function of an output folder that begins the work or goes on with it.
        state: Function of the folder: name of each file -> what must be equal to an undisturbed run's.
        is_writing: Function of the folder: whether a file is being written.
    """

    run: Callable[[Path], None]
    state: Callable[[Path], dict]
    is_writing: Callable[[Path], bool]


def make_data(folder: Path) -> Path:
    """Labeled crops, an unlabeled pool, scenes with rotated boxes and an archive, of a few images each."""
    data = folder / 'data'
    if not (data / 'complete').exists():
        synthetic.main(['isaid', str(data / 'raw'), '--train', '12', '--val', '1', '--size', '128'])
        synthetic.main(['unlabeled', str(data / 'unlabeled'), '--num', '24', '--size', '128'])
        synthetic.main(['unlabeled', str(data / 'archive'), '--num', '8', '--size', '512'])
        synthetic.main(['dota', str(data / 'raw_dota'), '--train', '6', '--val', '2', '--test', '2', '--size', '512'])
        isaid.main([str(data / 'raw'), str(data / 'isaid'), '--patch', '128', '--gap', '0', '--crop', '128'])
        (data / 'complete').touch()
    return data


# Training

def training(keep: int) -> Scenario:
    """FixMatch on tiny images: a checkpoint each iteration, a validation each third, workers that load images.

    Args:
        keep: Number of checkpoints that are kept.
    """
    def run(folder: Path) -> None:
        data = make_data(folder.parent)
        crops = data / 'isaid'
        train.main([TRAINING, '--work-dir', str(folder), '--resume', '--cfg-options',
                    f'train_dataloader.dataset.sources.labeled.data_root={crops}',
                    f'train_dataloader.dataset.sources.unlabeled.source={data / "unlabeled"}',
                    f'val_dataloader.dataset.data_root={crops}', f'test_dataloader.dataset.data_root={crops}',
                    'train_dataloader.batch_size=4', 'train_dataloader.sampler.per_batch.labeled=2',
                    'train_dataloader.sampler.per_batch.unlabeled=2', 'train_dataloader.num_workers=1',
                    'train_dataloader.persistent_workers=True', 'val_dataloader.num_workers=0',
                    'val_dataloader.persistent_workers=False', 'train_cfg.max_iters=9', 'train_cfg.val_interval=3',
                    'model.init_cfg=None', 'model.segmentor.init_cfg=None',
                    'default_hooks.checkpoint.interval=1', f'default_hooks.checkpoint.max_keep_ckpts={keep}',
                    'default_hooks.logger.interval=1', 'randomness.seed=3', 'log_level=ERROR'])
    return Scenario(run, training_state, has_part)


def training_state(folder: Path) -> dict:
    """Weights, optimizer and losses of each checkpoint; logs of lives are not compared."""
    state = {}
    for path in sorted(folder.iterdir()):
        if path.name == 'last_checkpoint':
            state[path.name] = Path(path.read_text()).name
        elif path.suffix == '.pth':
            content = read_checkpoint(str(path))
            scalars = content['message_hub']['log_scalars']
            losses = {key: value.data[0].tolist() for key, value in scalars.items() if 'loss' in key}
            parts = [content['state_dict'], content.get('optimizer'), content['meta']['iter'], losses]
            state[path.name] = digest(parts)
        elif path.is_file() and path.suffix != '.py':
            state[path.name] = 'litter'
    return state


def digest(value: object) -> str:
    """Text that differs if a value in nested lists and dicts, or a bit of a tensor, differs."""
    if isinstance(value, dict):
        return '{' + ','.join(f'{key}:{digest(value[key])}' for key in sorted(value, key=str)) + '}'
    if isinstance(value, list | tuple):
        return '[' + ','.join(map(digest, value)) + ']'
    if hasattr(value, 'numpy'):
        return hashlib.sha256(value.cpu().numpy().tobytes()).hexdigest()
    return repr(value)


# Preparation and curation

def prepare_isaid(folder: Path) -> None:
    """Cut labeled scenes into crops, by two workers."""
    data = make_data(folder.parent)
    isaid.main([str(data / 'raw'), str(folder), '--patch', '64', '--gap', '16', '--crop', '64', '--workers', '2'])


def prepare_dota(folder: Path) -> None:
    """Cut scenes and rotated boxes into patches, by two workers."""
    data = make_data(folder.parent)
    dota.main([str(data / 'raw_dota'), str(folder), '--size', '128', '--gap', '32', '--workers', '2'])


def crop_archive(folder: Path) -> None:
    """Cut an archive into patches, by two workers."""
    data = make_data(folder.parent)
    curate.main(['crop', str(data / 'archive'), str(folder), '--size', '128', '--stride', '128', '--workers', '2'])


def curate_pool(folder: Path) -> None:
    """Cluster, score with a loader's worker, select and report."""
    data = make_data(folder.parent)
    options = ['--cfg-options', f'curation.work_dir={folder}', f'curation.pool.source={data / "unlabeled"}',
               f'curation.labeled.source={data / "isaid/img_dir/train"}', 'curation.labeled.indices=8',
               'curation.num_clusters=3', 'curation.batch_size=4', 'curation.chunk_size=4', 'curation.budget=8']
    for step, *checkpoint in (('prototypes', START), ('score', START), ('select', ), ('report', )):
        curate.main([step, CURATION, *checkpoint, *options])


def files_state(folder: Path) -> dict:
    """Checksum of each file, of tables that of their rows; times of creation are not compared."""
    return {str(path.relative_to(folder)): content_of(path, folder) for path in files_below(folder)
            if path.name != '.lock' and path.suffix != '.log'}


def content_of(path: Path, folder: Path) -> str:
    """What must be equal in a file."""
    if path.suffix == '.part':
        return 'litter'
    if path.suffix == '.parquet':
        return repr(pq.read_table(path).to_pydict())
    if path.suffix in ('.json', '.html', '.txt'):
        return path.read_text().replace(str(folder), 'FOLDER')
    return sha256_of(path)


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder, in order."""
    return (path for path in sorted(folder.rglob('*')) if path.is_file())


def has_part(folder: Path) -> bool:
    """Whether a temporary file is there."""
    try:
        return any(name.endswith('.part') for _, _, names in os.walk(folder) for name in names)
    except FileNotFoundError:
        return False


def files(run: Callable[[Path], None]) -> Scenario:
    """A scenario that is compared file by file."""
    return Scenario(run, files_state, has_part)


SCENARIOS = {
    'training, max_keep_ckpts=1': training(1),
    'training, max_keep_ckpts=3': training(3),
    'preparation of iSAID': files(prepare_isaid),
    'preparation of DOTA': files(prepare_dota),
    'cropping of an archive': files(crop_archive),
    'curation': files(curate_pool),
}

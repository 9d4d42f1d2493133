"""A trained model with what it takes to use it on a scene."""
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmdet.models import BaseDetector
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.utils import to_2tuple
from torch import nn

from s5_mm.checkpoints import load_weights, read_checkpoint
from s5_mm.datasets.radiometry import radiometry_of
from s5_mm.files import sha256_of
from s5_mm.radiometry import Radiometry, read_records
from s5_mm.registry import DATASETS, MODELS

from .engine import Engine, TorchEngine


@dataclass(frozen=True)
class SceneModel:
    """A segmentor or detector, and what is known of its training.

    Attributes:
        network: The model, in eval mode, on its device; ``None`` where ``engine`` has it in a form of its own.
        classes: Names of its classes.
        palette: Red, green and blue of each.
        dataset: Which of the datasets that it knows; ``None`` for a model of one.
        radiometry: How its training images were read.
        window: Side of its training images in pixels.
        name: Name of the config and checksum of the checkpoint; of another engine also what it is.
        engine: What runs a segmentor; ``None``: torch, in fp32.
    """

    network: nn.Module | None
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    dataset: str | None = None
    radiometry: Radiometry = Radiometry()
    window: int = 512
    name: str = ''
    engine: Engine | None = None

    def __post_init__(self) -> None:
        """Choose the engine."""
        if self.engine is None and not self.detects:
            object.__setattr__(self, 'engine', TorchEngine(self.network, self.dataset))

    @property
    def detects(self) -> bool:
        """Whether it is a detector."""
        return isinstance(self.network, BaseDetector)

    @property
    def device(self) -> torch.device:
        """Where a segmentor's probabilities are."""
        return self.engine.device


def load_model(config: str | Path | Config, checkpoint: str | Path, dataset: str | None = None,
               device: str | None = None) -> SceneModel:
    """Build a config's model, load a checkpoint as weights only, and find out how its training images were read.

    Args:
        config: File, or config, of any model of this package.
        checkpoint: A training checkpoint or a ``.safetensors`` file.
        dataset: Dataset whose classes are predicted; needed for a model of several datasets.
        device: Default the GPU, if there is one.

    Returns:
        The model. Its radiometry is the checkpoint's, or where the checkpoint does not tell it, that of the config.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: The checkpoint is damaged, holds code or does not fit, or the model does not know the dataset.
    """
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    tested, info = _test_dataset(cfg, dataset), dataset_meta(cfg, dataset)
    network = MODELS.build(cfg.model)
    dataset = _known_dataset(network, dataset, cfg)
    load_weights(network, checkpoint)
    records = read_records(read_checkpoint(str(checkpoint), mmap=True).get('meta') or {}, str(checkpoint))
    radiometry = records.get(dataset or '') or radiometry_of(tested.get('pipeline', []))
    name = f'{Path(cfg.filename or "model").stem}-{sha256_of(Path(checkpoint))[:12]}'
    network = network.to(device or get_device()).eval()
    return SceneModel(network, tuple(info['classes']), tuple(map(tuple, info['palette'])), dataset, radiometry,
                      _training_side(cfg.model, network), name)


def dataset_meta(cfg: Config, dataset: str | None = None) -> dict:
    """Classes and palette of a dataset that a config tests.

    Args:
        cfg: Config with ``test_dataloader`` or ``val_dataloader``.
        dataset: Name of the dataset; needed if the config has several.

    Returns:
        The metainfo of the dataset, with ``classes`` and ``palette``. No file of the dataset is read.

    Raises:
        ValueError: The config has no such dataset, or has several and none is named.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return dict(DATASETS.build(dict(_test_dataset(cfg, dataset), lazy_init=True, pipeline=[])).metainfo)


def _test_dataset(cfg: Config, dataset: str | None) -> Mapping[str, Any]:
    """Config of the dataset that a config tests."""
    loaders = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if loaders is None:
        raise ValueError(f'{cfg.filename} has neither test_dataloader nor val_dataloader, which tell the classes; use '
                         'the config that the model was trained with.')
    if 'dataset' in loaders:
        return loaders.dataset
    if dataset not in loaders:
        raise ValueError(f'the dataset is {dataset!r}; the config has several, choose one of {", ".join(loaders)}.')
    return loaders[dataset].dataset


def _known_dataset(network: nn.Module, dataset: str | None, cfg: Config) -> str | None:
    known = tuple(getattr(network, 'datasets', ()))
    if not known:
        if dataset is not None and 'dataset' in (cfg.get('test_dataloader') or cfg.get('val_dataloader')):
            raise ValueError(f'the dataset is {dataset!r}, but the model and its config have one; leave it '
                             'out.')
        return None
    if dataset is None and len(known) == 1:
        return known[0]
    if dataset not in known:
        raise ValueError(f'the dataset is {dataset!r}; the model knows {", ".join(known)}, choose one of them.')
    return dataset


def _training_side(cfg: Mapping[str, Any], network: nn.Module) -> int:
    size = getattr(network.data_preprocessor, 'size', None) or cfg.get('backbone', {}).get('img_size')
    return max(to_2tuple(size)) if size else 1024 if isinstance(network, BaseDetector) else 512

"""Make other models out of a trained :class:`s5_mm.MultiDatasetSegmentor`: weights and the config to use them."""
import copy
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from s5_mm.checkpoints import load_weights, read_checkpoint
from s5_mm.checkpoints.segmentor import add_dataset, merge_segmentor
from s5_mm.checkpoints.writing import check_target, plain, write_weights
from s5_mm.files import write_text
from s5_mm.models import MultiDatasetSegmentor
from s5_mm.models.layers import check_names
from s5_mm.models.segmentors.dataset_settings import SegmentationSettings
from s5_mm.models.segmentors.merging import merged_config
from s5_mm.radiometry import RECORD, Radiometry, read_records, write_records
from s5_mm.registry import MODELS
from s5_mm.version import __version__


def merge_checkpoint(cfg: Config, checkpoint: str, dataset: str, out: str, force: bool = False) -> str:
    """Write one dataset's part of a model as a plain segmentor.

    Args:
        cfg: Config of the model, with its test settings if the new config shall have them.
        checkpoint: Its weights; published MoE-MDF files too.
        dataset: The dataset.
        out: Weights to write, ``.pth`` or ``.safetensors``; the config goes beside it, as ``.py``.
        force: Whether to replace files.

    Returns:
        The config's path.

    Raises:
        FileExistsError: A file exists and ``force`` is not set.
        ValueError: The checkpoint is not the model's, or the model does not have the dataset.
    """
    config = _check_targets(out, force)
    run = merged_run(cfg, dataset)
    weights = merge_segmentor(load_segmentor(cfg, checkpoint).state_dict(), dataset)
    records = _records(checkpoint)
    _write(out, weights, checkpoint, dataset, {'': records[dataset]} if dataset in records else {})
    write_text(config, run.pretty_text)
    return str(config)


def merged_run(cfg: Config, dataset: str) -> Config:
    """Config that tests the merged model of a dataset by what ``cfg`` tests it with.

    Args:
        cfg: Config of a :class:`s5_mm.MultiDatasetSegmentor`; not changed.
        dataset: The dataset.

    Raises:
        ValueError: The model does not have it.
    """
    kept = ('default_scope', 'custom_imports', 'env_cfg', 'vis_backends', 'visualizer', 'log_processor', 'log_level',
            'default_hooks')
    run: dict[str, Any] = {key: copy.deepcopy(cfg[key]) for key in kept if key in cfg}
    run.get('default_hooks', {}).pop('checkpoint', None)
    run['model'] = merged_config(cfg.model, dataset)
    for stage, loop in (('val', 'ValLoop'), ('test', 'TestLoop')):
        loaders = cfg.get(f'{stage}_dataloader') or {}
        if dataset in loaders:
            run.update({f'{stage}_dataloader': copy.deepcopy(loaders[dataset]),
                        f'{stage}_evaluator': copy.deepcopy(cfg[f'{stage}_evaluator'][dataset]),
                        f'{stage}_cfg': dict(type=loop)})
    return Config(run)


def grow_checkpoint(cfg: Config,
                    checkpoint: str,
                    new: str,
                    source: str,
                    out: str,
                    num_classes: int,
                    with_classifier: bool = False,
                    train_new_only: bool = False,
                    force: bool = False) -> str:
    """Write a model that has one dataset more, and a config that trains it.

    Args:
        cfg: Config of the model.
        checkpoint: Its weights.
        new: Name of the new dataset.
        source: Dataset whose expert, decoder and settings are copied.
        out: Weights to write, ``.pth`` or ``.safetensors``; the config goes beside it, as ``.py``.
        num_classes: Classes of the new dataset.
        with_classifier: Whether the classifier is copied too.
        train_new_only: Whether the config freezes all but the new expert and decoder.
        force: Whether to replace files.

    Returns:
        The config's path.

    Raises:
        FileExistsError: A file exists and ``force`` is not set.
        ValueError: The checkpoint is not the model's, the new name is taken or impossible, the source unknown, or its
            classifier cannot be copied.
    """
    config = _check_targets(out, force)
    known = cfg.model.get('datasets', {})
    if source in known and with_classifier and num_classes != known[source].num_classes:
        raise ValueError(f'The classifier of {source!r} has {known[source].num_classes} classes, {new!r} has '
                         f'{num_classes}; it can only be copied for equal classes.')
    check_names([*known, new])
    weights = add_dataset(load_segmentor(cfg, checkpoint).state_dict(), new, source, with_classifier)
    settings = known[source].to_dict() | dict(num_classes=num_classes, start=0.0)
    SegmentationSettings.from_config(new, settings)
    model = dict(datasets={new: settings}, init_cfg=None, frozen_except=[new] if train_new_only else [])
    _write(out, weights, checkpoint, new, _records(checkpoint))
    base = os.path.relpath(cfg.filename, config.parent)
    write_text(config, f'# The model of {Path(base).name} with one dataset more, whose data come here.\n'
               f'_base_ = [{base!r}]\nmodel = {model!r}\nload_from = {out!r}\n')
    return str(config)


def load_segmentor(cfg: Config, checkpoint: str) -> MultiDatasetSegmentor:
    """Build a model and load all its weights.

    Args:
        cfg: Config of a :class:`s5_mm.MultiDatasetSegmentor`.
        checkpoint: Its weights, in any known format.

    Raises:
        ValueError: The config is of another model, or the checkpoint lacks weights.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = MODELS.build(copy.deepcopy(cfg.model))
    if not isinstance(model, MultiDatasetSegmentor):
        raise ValueError(f'{cfg.filename} builds a {type(model).__name__}; give the config of a MultiDatasetSegmentor.')
    load_weights(model, checkpoint)
    return model


def _check_targets(out: str, force: bool) -> Path:
    config = Path(out).with_suffix('.py')
    check_target(out, force)
    check_target(str(config), force, ('.py', ))
    return config


def _records(checkpoint: str) -> dict[str, Radiometry]:
    """How the training images of each dataset were read."""
    return read_records(read_checkpoint(checkpoint, mmap=True).get('meta') or {}, checkpoint)


def _write(out: str, weights: dict[str, Tensor], checkpoint: str, dataset: str,
           records: dict[str, Radiometry]) -> None:
    origin = dict(source=Path(checkpoint).name, dataset=dataset, s5_mm=__version__)
    if records:
        origin[RECORD] = write_records(records)
    write_weights(out, {name: plain(value) for name, value in weights.items()}, origin)

"""Configs in the form that functions and scripts of mmseg and mmdet expect."""
import copy
from pathlib import Path

from mmengine.config import Config

from s5_mm.registry import TRANSFORMS

LOADERS = ('s5_mm.LoadImage', 'mmdet.LoadImageFromFile', 'LoadImageFromFile')
RATIOS = (0.75, 1.0, 1.25)
"""Scales of test-time augmentation."""


def host_config(config: str | Path | Config, dataset: str | None = None) -> Config:
    """A config for ``init_model``, ``inference_model``, ``MMSegInferencer``, ``init_detector`` and hosts' scripts.

    They look for a loading step of a certain name, ``test_pipeline``, ``tta_pipeline`` and ``tta_model`` in a config,
    and for one dataset. Loss and quality do not depend on it: train and test by the original config.

    Args:
        config: File or config of a model of this package.
        dataset: Dataset whose images are predicted; needed for a config of several.

    Returns:
        A new config. Images are loaded by the host's ``LoadImageFromFile``, so 8-bit color files alone.

    Raises:
        ValueError: The dataset is unknown or missing, or images are not loaded by ``s5_mm.LoadImage``.
    """
    cfg = copy.deepcopy(config) if isinstance(config, Config) else Config.fromfile(config)
    loaders = cfg.test_dataloader
    if 'dataset' not in loaders:
        if dataset not in loaders:
            raise ValueError(f'the dataset is {dataset!r}; the config has several, choose one of {", ".join(loaders)}.')
        cfg.test_dataloader, cfg.val_dataloader = cfg.test_dataloader[dataset], cfg.val_dataloader[dataset]
        cfg.test_evaluator, cfg.val_evaluator = cfg.test_evaluator[dataset], cfg.val_evaluator[dataset]
        cfg.test_cfg, cfg.val_cfg = dict(type='TestLoop'), dict(type='ValLoop')
    elif dataset is not None:
        raise ValueError(f'the dataset is {dataset!r}, but the config has one; leave it out.')
    pipeline = [_named(step, dataset) for step in cfg.test_dataloader.dataset.pipeline]
    if pipeline[0]['type'] not in LOADERS:
        raise ValueError(f'images are loaded by {pipeline[0]["type"]}, which functions of hosts cannot replace; '
                         "predict by s5_mm.apis.segment or tools/predict.py, or put dict(type='s5_mm.LoadImage') "
                         'first.')
    pipeline[0] = dict(type='LoadImageFromFile')
    if dataset is not None:
        pipeline.insert(1, dict(type='s5_mm.SetDatasetName', name=dataset))
    cfg.test_dataloader.dataset.pipeline = pipeline
    cfg.test_pipeline = pipeline
    if cfg.get('default_scope', 'mmseg') == 'mmseg':
        cfg.tta_model = dict(type='SegTTAModel')
        cfg.tta_pipeline = _augmented(pipeline)
    return cfg


def _named(step: dict, dataset: str | None) -> dict:
    """A step that keeps the dataset's name where it packs samples."""
    kind = step['type'].rpartition('.')[2]
    if dataset is None or not kind.startswith('Pack'):
        return dict(step)
    keys = step.get('meta_keys') or TRANSFORMS.build(dict(step)).meta_keys
    return dict(step, meta_keys=(*keys, 'dataset_name'))


def _augmented(pipeline: list[dict]) -> list[dict]:
    """Test-time augmentation: scales and mirrored images."""
    *first, last = pipeline
    labels = [step for step in first if step['type'] == 's5_mm.LoadLabels']
    return [
        *(step for step in first if step not in labels),
        dict(type='TestTimeAug', transforms=[
            [dict(type='Resize', scale_factor=ratio, keep_ratio=True) for ratio in RATIOS],
            [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)],
            *([step] for step in labels), [last]])]

"""Score the datasets of a running training with its own model, on all its processes."""
import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.dist import all_gather_object, get_dist_info
from torch import nn

from s5_mm.registry import TRANSFORMS

from .loading import build_loader
from .prototypes import Prototypes, fit_prototypes
from .scoring import Scores, score


class ScoringOptions(NamedTuple):
    """How images are scored; see :class:`s5_mm.curation.settings.CurationSettings` for each."""

    background: int | None = None
    renormalize: bool = False
    size: int | None = None
    max_side: int = 2048
    batch_size: int = 32
    workers: int = 2
    amp: bool = False


def labeled_prototypes(model: nn.Module, labeled: BaseDataset, options: ScoringOptions, num_clusters: int,
                       seed: int) -> Prototypes | None:
    """Prototypes of the labeled images, from the model's current features.

    Args:
        model: See :func:`s5_mm.curation.scoring.score`.
        labeled: The labeled dataset; its labels are not read.
        options: How images are scored.
        num_clusters: M.
        seed: Seed of the clustering.

    Returns:
        The same on all processes.

    Raises:
        RuntimeError: A labeled image cannot be read.
        ValueError: See :func:`fit_prototypes`.
    """
    scores = score_dataset(model, labeled, np.arange(len(labeled)), options, keep_features=True)
    if scores.failures:
        raise RuntimeError(f'{len(scores.failures)} labeled images cannot be scored; the first, '
                           f'{labeled.get_data_info(scores.failures[0].index)["img_path"]}: '
                           f'{scores.failures[0].reason}')
    # Clusters may differ in the last bit from machine to machine, so one process makes them for all.
    made = fit_prototypes(scores.features, num_clusters, seed) if get_dist_info()[0] == 0 else None
    return all_gather_object(made)[0]


def score_dataset(model: nn.Module,
                  dataset: BaseDataset,
                  indices: np.ndarray,
                  options: ScoringOptions,
                  prototypes: Prototypes | None = None,
                  keep_features: bool = False) -> Scores:
    """Score images of a dataset, each process its share.

    Args:
        model: See :func:`s5_mm.curation.scoring.score`.
        dataset: Its images are read by the first step of its pipeline, whole and without augmentation.
        indices: (n, ), which images; equal on all processes.
        options: How images are scored.
        prototypes: To assign images to.
        keep_features: Whether to return features.

    Returns:
        Scores of all of them in ascending order of index, the same on all processes.
    """
    rank, world_size = get_dist_info()
    own = indices[rank::world_size].tolist()
    batches = [own[start:start + options.batch_size] for start in range(0, len(own), options.batch_size)]
    device = next(model.parameters()).device
    loader = build_loader(_whole_images(dataset, options.size), batches, options.workers, options.max_side,
                          pin_memory=device.type == 'cuda')
    parts = list(score(model, loader, prototypes, options.background, options.renormalize, options.amp, keep_features))
    gathered = [part for parts_of_one in all_gather_object(parts) for part in parts_of_one]
    return _in_order(gathered)


def _whole_images(dataset: BaseDataset, size: int | None) -> BaseDataset:
    """The dataset without its augmentation, which shares all else with it."""
    steps = [*dataset.pipeline.transforms[:1], TRANSFORMS.build(dict(type='s5_mm.UnlabeledMask'))]
    if size is not None:
        steps.append(TRANSFORMS.build(dict(type='mmcv.Resize', scale=(size, size), keep_ratio=True)))
    whole = copy.copy(dataset)
    whole.pipeline = Compose(steps)
    whole.test_mode = True
    return whole


def _in_order(parts: Sequence[Scores]) -> Scores:
    filled = [part for part in parts if len(part.index)]
    failures = sorted(failure for part in parts for failure in part.failures)
    if not filled:
        return parts[0]._replace(failures=failures)
    arrays = [np.concatenate(columns) for columns in zip(*(part[:-1] for part in filled), strict=True)]
    order = np.argsort(arrays[0])
    return Scores(*(array[order] for array in arrays), failures)

"""Choose what to train on from an unlabeled pool, with the model that is being trained."""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from mmengine.dataset import BaseDataset
from mmengine.dist import all_gather_object, get_rank
from torch import nn

from s5_mm.datasets import UnlabeledDataset
from s5_mm.randomness import derive_seed

from .live import ScoringOptions, labeled_prototypes, score_dataset
from .prototypes import DEFAULT_NUM_CLUSTERS
from .quota import ON_SHORTFALL
from .score_table import write_table
from .scoring import Scores
from .selection import STRATEGIES, select


class FilteredPool(NamedTuple):
    """The images of a pool that are kept.

    Attributes:
        indices: (n,), int64, indices into the pool, ascending.
        rows: Columns ``path``, ``entropy``, ``cluster`` and ``similarity``, a row for each index.
        scored: Number of images that were scored.
        unreadable: Number of images that could not be scored.
        mean_entropy: Mean over all scored images, in nats.
    """

    indices: np.ndarray
    rows: pa.Table
    scored: int
    unreadable: int
    mean_entropy: float

    def summary(self, previous: np.ndarray | None = None) -> str:
        """One line for the log.

        Args:
            previous: Indices that were kept before; ``None``: all are new.
        """
        new = len(self.indices) if previous is None else len(np.setdiff1d(self.indices, previous))
        return (f'{len(self.indices)} of {self.scored + self.unreadable} images kept, {new} of them new; mean entropy '
                f'{self.rows["entropy"].to_numpy().mean():.4f}, of all scored {self.mean_entropy:.4f}; '
                f'{self.unreadable} unreadable')

    def write(self, path: Path) -> None:
        """Write :attr:`rows` as a Parquet file, completely or not at all."""
        write_table(path, self.rows)


class PoolFilter:
    """Selection from a pool by the model's current scores (S5, arXiv 2508.12409, Eq. 1-3).

    Args:
        budget: Number of images to keep (an integer), or a share of those that are scored, above 0 and below 1.
        share: Random share of the pool that is scored each time, above 0 and up to 1.
        strategy: See :func:`s5_mm.curation.select`.
        on_shortfall: See :func:`s5_mm.curation.select`.
        num_clusters: M, number of prototypes. They are fitted anew each time, since features change in training.
        source: Name of the unlabeled source.
        labeled: Name of the labeled source; only strategies with quotas need it.
        scoring: Fields of :class:`s5_mm.curation.live.ScoringOptions`, e.g. ``dict(background=0, batch_size=64)``.

    Raises:
        ValueError: An option is unknown or out of range.
    """

    def __init__(self,
                 budget: int | float,
                 share: float = 1.0,
                 strategy: str = 'curated',
                 on_shortfall: str = 'skip',
                 num_clusters: int = DEFAULT_NUM_CLUSTERS,
                 source: str = 'unlabeled',
                 labeled: str = 'labeled',
                 scoring: dict | None = None) -> None:
        if not (budget >= 1 if isinstance(budget, int) else 0 < budget < 1):
            raise ValueError(f'PoolFilter: budget is {budget}; it is a number of images (an integer) or a share above '
                             '0 and below 1. To keep all images, leave the filter out.')
        if not 0 < share <= 1:
            raise ValueError(f'PoolFilter: share is {share}; it must be above 0 and up to 1.')
        for name, value, known in (('strategy', strategy, STRATEGIES), ('on_shortfall', on_shortfall, ON_SHORTFALL)):
            if value not in known:
                raise ValueError(f'PoolFilter: {name} is {value!r}; choose from {list(known)}.')
        unknown = sorted(set(scoring or {}) - set(ScoringOptions._fields))
        if unknown:
            raise ValueError(f'PoolFilter: scoring.{unknown[0]} is unknown; choose from '
                             f'{list(ScoringOptions._fields)}.')
        self.budget = budget
        self.share = share
        self.strategy = strategy
        self.on_shortfall = on_shortfall
        self.num_clusters = num_clusters
        self.source = source
        self.labeled = labeled
        self.scoring = ScoringOptions(**(scoring or {}))

    @property
    def has_quotas(self) -> bool:
        """Whether clusters have quotas, which the labeled images give."""
        return STRATEGIES[self.strategy].by_cluster

    def check(self, sources: Mapping[str, BaseDataset]) -> None:
        """Check, before any image is scored, that these sources can be selected from.

        Args:
            sources: Name -> dataset.

        Raises:
            ValueError: A source is missing or of another kind, or there are too few images for the budget or the
                clusters.
        """
        missing = [name for name in [self.source] + [self.labeled] * self.has_quotas if name not in sources]
        if missing:
            raise ValueError(f'PoolFilter: there is no source {missing[0]!r}, training has {sorted(sources)}; name the '
                             'unlabeled one in source=... and the labeled one in labeled=....')
        pool = sources[self.source]
        if not isinstance(pool, UnlabeledDataset):
            raise ValueError(f'PoolFilter: source {self.source!r} is a {type(pool).__name__}, only an UnlabeledDataset '
                             'can be filtered.')
        if self.has_quotas:
            self._check_labeled(sources[self.labeled])
        scored = self._num_scored(len(pool))
        if not 1 <= self._num_kept(scored) <= scored:
            raise ValueError(f'PoolFilter: budget is {self.budget}, {scored} of the {len(pool)} images of '
                             f'{self.source!r} are scored (share {self.share}); keep 1 to {scored} of them.')

    def _check_labeled(self, labeled: BaseDataset) -> None:
        if not hasattr(labeled, 'pipeline'):
            raise ValueError(f'PoolFilter: source {self.labeled!r} is a {type(labeled).__name__} without a pipeline of '
                             'its own, whose images cannot be read alone; give one dataset, or a strategy without '
                             "quotas ('random', 'entropy').")
        if not 1 <= self.num_clusters <= len(labeled):
            raise ValueError(f'PoolFilter: num_clusters is {self.num_clusters}, there are {len(labeled)} labeled '
                             f'images; make it 1 to {len(labeled)}.')

    def background_note(self, classes: Sequence[str]) -> str:
        """Say for the log which class the entropy leaves out.

        Args:
            classes: Names of the classes; may be empty.
        """
        background = self.scoring.background
        if background is None:
            return 'the entropy counts all classes; scoring=dict(background=...) leaves one out'
        name = f' ({classes[background]})' if background < len(classes) else ''
        return f'the entropy leaves out class {background}{name}'

    def select(self, model: nn.Module, sources: Mapping[str, BaseDataset], step: int, seed: int) -> FilteredPool:
        """Score the pool and choose from it; every process scores its share, all get the same result.

        Args:
            model: See :func:`s5_mm.curation.scoring.score`.
            sources: Name -> dataset, as :meth:`check` has accepted them.
            step: Iteration; each one scores another random share of the pool.
            seed: Seed of the share, the clusters and random orders; equal on all processes.

        Raises:
            RuntimeError: No image could be scored, a labeled one cannot be read, or no image is selected.
        """
        pool = sources[self.source]
        prototypes = None
        if self.has_quotas:
            prototypes = labeled_prototypes(model, sources[self.labeled], self.scoring, self.num_clusters, seed)
        drawing = np.random.default_rng(derive_seed(seed, 'scored share', step))
        indices = np.sort(drawing.permutation(len(pool))[:self._num_scored(len(pool))])
        scores = score_dataset(model, pool, indices, self.scoring, prototypes)
        # One process chooses for all, so that their selections cannot differ.
        counts = None if prototypes is None else prototypes.counts
        chosen = all_gather_object(self._choose(scores, counts, pool, seed) if get_rank() == 0 else None)[0]
        kept = scores.index[chosen]
        rows = pa.table(dict(path=pool.paths.take(pa.array(kept)), entropy=scores.entropy[chosen],
                             cluster=scores.cluster[chosen], similarity=scores.similarity[chosen]))
        return FilteredPool(kept, rows, len(scores.index), len(scores.failures), float(scores.entropy.mean()))

    def _choose(self, scores: Scores, counts: np.ndarray | None, pool: UnlabeledDataset, seed: int) -> np.ndarray:
        """Rows of the scores that are kept, ascending."""
        if not len(scores.index):
            raise RuntimeError(f'PoolFilter: none of the images of {self.source!r} could be scored; the first: '
                               f'{scores.failures[0].reason}')
        # Unreadable images make the pool smaller than it was when the budget was checked.
        budget = min(self._num_kept(self._num_scored(len(pool))), len(scores.index))
        table = pa.table(dict(path=pool.paths.take(pa.array(scores.index)), entropy=scores.entropy,
                              cluster=scores.cluster, row=np.arange(len(scores.index))))
        selected = select(table, budget, counts, self.strategy, self.on_shortfall, seed).table
        if not len(selected):
            raise RuntimeError('PoolFilter: the selection is empty, no cluster with labeled images has unlabeled ones; '
                               "choose fewer clusters or on_shortfall='redistribute'.")
        return np.sort(selected['row'].to_numpy())

    def _num_scored(self, pool_size: int) -> int:
        return max(1, round(self.share * pool_size))

    def _num_kept(self, scored: int) -> int:
        return int(self.budget) if self.budget >= 1 else int(self.budget * scored)

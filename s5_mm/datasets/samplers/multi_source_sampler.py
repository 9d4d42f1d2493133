"""A fixed number of samples from each source in every batch, from any position on."""
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from s5_mm.datasets.class_counts import ClassCounts
from s5_mm.datasets.multi_source import Draw, MultiSourceDataset
from s5_mm.randomness import derive_seed
from s5_mm.registry import DATA_SAMPLERS

from .rare_classes import RareClasses


class SourceSubset(NamedTuple):
    """The part of a source that is drawn from.

    Attributes:
        indices: Indices into the source, (n, ), int64, each once.
        first_step: Number of batches drawn before the subset became valid, counted from the start of training.
    """

    indices: np.ndarray
    first_step: int


class Stretch(NamedTuple):
    """Batches that a training drew with one number of processes and one batch size.

    Attributes:
        first_step: The first of these batches, counted from the start of training.
        draws: Draws of each source in a batch of all processes together.
    """

    first_step: int
    draws: dict[str, int]


@DATA_SAMPLERS.register_module()
class MultiSourceSampler(Sampler):
    """Endless draws from the sources of a :class:`MultiSourceDataset`, a fixed number of each in every batch.

    Batches are ordered by source. Each source has epochs of its own, is reshuffled in each, and is divided among the
    ranks. Index and augmentation seed of a draw are functions of (seed, source, number of the draw), so a resumed run
    continues at any position at once, without replay. The order of the draws does not depend on the number of processes
    or the batch size: :attr:`history` says how many draws the batches took, and a run that is resumed with others goes
    on with the next draw, see :class:`s5_mm.SamplerSeedHook`.

    Attributes:
        history: Stretches of batches, in order; the last one lasts until now.

    Args:
        dataset: The dataset.
        per_batch: Samples of each source in a batch of one process, in this order, e.g. ``dict(labeled=12,
            unlabeled=12)``; a number stands for as many of every source. The loader's ``batch_size`` is their sum.
        rare_classes: Source -> how its images are drawn by class instead of in epochs: ``counts``, the file that
            ``tools/analysis/class_counts.py`` writes, and the options of :class:`RareClasses`.
        shuffle: Whether to shuffle each epoch.
        seed: Seed, at least 0, equal on all ranks; MMEngine's runner passes its own. ``None``: drawn and shared. A
            resumed run gets the checkpoint's seed from :class:`s5_mm.SamplerSeedHook`.

    Raises:
        ValueError: A source is unknown, a number is below 1, or class counts do not fit a source.
        FileNotFoundError: A file of class counts is missing.
    """

    def __init__(self,
                 dataset: MultiSourceDataset,
                 per_batch: dict[str, int] | int,
                 rare_classes: dict[str, dict] | None = None,
                 shuffle: bool = True,
                 seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.sizes = {name: len(source) for name, source in dataset.sources.items()}
        self.per_batch = dict.fromkeys(self.sizes, per_batch) if isinstance(per_batch, int) else dict(per_batch)
        self.shuffle = shuffle
        self.subsets: dict[str, SourceSubset] = {}
        self._first_step = 0
        self._check()
        self.history = [Stretch(0, self.draws_per_step)]
        self.rare_classes = {name: self._rare_classes(dataset, name, **options)
                             for name, options in (rare_classes or {}).items()}

    def _rare_classes(self, dataset: MultiSourceDataset, name: str, counts: str, **options: float) -> RareClasses:
        if name not in self.per_batch:
            raise ValueError(f'MultiSourceSampler: rare_classes names {name!r}, per_batch has '
                             f'{sorted(self.per_batch)}.')
        return RareClasses(ClassCounts.load(counts).of(dataset.sources[name]), **options)

    def _check(self) -> None:
        unknown = sorted(set(self.per_batch) - set(self.sizes))
        if unknown or not self.per_batch:
            raise ValueError(f'MultiSourceSampler: {unknown or "no source"} named, the dataset has '
                             f'{sorted(self.sizes)}; name those in per_batch.')
        for name, number in self.per_batch.items():
            if not (isinstance(number, int) and number >= 1):
                raise ValueError(f'MultiSourceSampler: per_batch[{name!r}] is {number!r}, it must be an integer of at '
                                 'least 1; leave a source out to draw nothing from it.')

    @property
    def batch_size(self) -> int:
        """Samples in a batch of one process."""
        return sum(self.per_batch.values())

    @property
    def draws_per_step(self) -> dict[str, int]:
        """Draws of each source in a batch of all processes together."""
        return {name: number * self.world_size for name, number in self.per_batch.items()}

    def resume(self, history: Sequence[Stretch], step: int) -> bool:
        """Go on after a run that may have had other processes or another batch size.

        Args:
            history: :attr:`history` of that run.
            step: Number of batches that it drew.

        Returns:
            Whether the numbers of draws in a batch differ from now on.

        Raises:
            ValueError: That run did not draw from the same sources.
        """
        draws = history[-1].draws
        if set(draws) != set(self.per_batch):
            raise ValueError(f'MultiSourceSampler: the checkpoint is of a training that drew from {sorted(draws)}, '
                             f'per_batch names {sorted(self.per_batch)}; resume with the same sources, or start anew '
                             'with load_from.')
        self.history = list(history)
        if draws == self.draws_per_step:
            return False
        self.history.append(Stretch(step, self.draws_per_step))
        return True

    def _draws_before(self, name: str, step: int) -> int:
        """Draws of a source in the batches before a step, of all processes."""
        ends = [stretch.first_step for stretch in self.history[1:]] + [step]
        return sum(max(0, min(end, step) - stretch.first_step) * stretch.draws[name]
                   for stretch, end in zip(self.history, ends, strict=True))

    def skip(self, num_samples: int) -> None:
        """Set the position, as MMEngine's train loop asks on resume.

        Args:
            num_samples: Samples of this process already used, counted from the start of training; a multiple of
                :attr:`batch_size`.

        Raises:
            ValueError: ``num_samples`` is negative or no whole number of batches.
        """
        step, rest = divmod(num_samples, self.batch_size)
        if step < 0 or rest:
            raise ValueError(f'MultiSourceSampler: cannot skip {num_samples} samples, a batch has {self.batch_size}; '
                             "the loader's batch_size must be the sum of per_batch.")
        self._first_step = step

    def restrict(self, source: str, subset: SourceSubset) -> None:
        """Draw from a part of a source; affects iterators that are made from now on.

        The subset has epochs of its own, the first of which begins at ``subset.first_step``.

        Args:
            source: Name of the source.
            subset: The part.

        Raises:
            ValueError: The source is unknown or drawn by class, or an index is missing, doubled or out of range.
        """
        if source not in self.sizes:
            raise ValueError(f'MultiSourceSampler: cannot restrict {source!r}, the dataset has {sorted(self.sizes)}.')
        if source in self.rare_classes:
            raise ValueError(f'MultiSourceSampler: cannot restrict {source!r}, which is drawn by class; leave it out '
                             'of rare_classes.')
        indices, size = np.asarray(subset.indices, dtype=np.int64), self.sizes[source]
        if not len(indices) or indices.min() < 0 or indices.max() >= size or len(np.unique(indices)) < len(indices):
            raise ValueError(f'MultiSourceSampler: a selection from {source!r} needs at least one index, each once and '
                             f'from 0 to {size - 1}; it has {len(indices)}.')
        self.subsets[source] = subset._replace(indices=indices)

    def __len__(self) -> int:
        return sum(self.sizes.values())

    def __iter__(self) -> Iterator[Draw]:
        orders = {name: self._order(name) for name in self.per_batch}
        for step in itertools.count(self._first_step):
            for name, number in self.per_batch.items():
                first = self._draws_before(name, step) + self.rank * number
                for draw in range(first, first + number):
                    yield Draw(name, orders[name].index(draw), derive_seed(self.seed, 'augmentation', name, draw))

    def _order(self, name: str) -> '_Order | _RareOrder':
        if name in self.rare_classes:
            return _RareOrder(self.rare_classes[name], (self.seed, 'rare class', name))
        keys = (self.seed, 'order', name)
        if name not in self.subsets:
            return _Order(np.arange(self.sizes[name]), 0, self.shuffle, keys)
        indices, first_step = self.subsets[name]
        return _Order(indices, self._draws_before(name, first_step), self.shuffle, (*keys, first_step))


class _Order:
    """The order in which the members of a source are drawn; keeps the current epoch's permutation."""

    def __init__(self, members: np.ndarray, first_draw: int, shuffle: bool, seed_keys: tuple[int | str, ...]) -> None:
        self.members = members
        self.first_draw = first_draw
        self.shuffle = shuffle
        self.seed_keys = seed_keys
        self._epoch = -1
        self._permutation = members

    def index(self, draw: int) -> int:
        """Position in the source of draw number ``draw`` (0-based, all ranks counted, not before ``first_draw``)."""
        epoch, position = divmod(draw - self.first_draw, len(self.members))
        if self.shuffle and epoch != self._epoch:
            self._epoch = epoch
            self._permutation = np.random.default_rng(derive_seed(*self.seed_keys, epoch)).permutation(self.members)
        return int(self._permutation[position])


class _RareOrder:
    """Draws by class, each of them a function of its number."""

    def __init__(self, rare_classes: RareClasses, seed_keys: tuple[int | str, ...]) -> None:
        self.rare_classes = rare_classes
        self.seed_keys = seed_keys

    def index(self, draw: int) -> int:
        """Position in the source of draw number ``draw``, 0-based, all ranks counted."""
        return self.rare_classes.draw(np.random.default_rng(derive_seed(*self.seed_keys, draw)))

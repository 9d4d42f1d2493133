"""Keep the unlabeled pool to what the network judges reliable and diverse, again and again while it trains."""
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from s5_mm import curation
from s5_mm.curation import Prototypes
from s5_mm.curation.live import ScoringOptions, labeled_prototypes, score_dataset
from s5_mm.curation.quota import ON_SHORTFALL
from s5_mm.curation.score_table import checksum_of_paths
from s5_mm.curation.scoring import Scores
from s5_mm.datasets import MultiSourceDataset, MultiSourceSampler, UnlabeledDataset
from s5_mm.datasets.samplers import Selection
from s5_mm.files import write_bytes
from s5_mm.randomness import derive_seed
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class DatasetFilterHook(Hook):
    """Curate the pool during training (the selection of S5, arXiv 2508.12409, Eq. 1-3, with the network of the moment).

    Before training and every ``interval`` iterations the pool is scored with the model (its EMA teacher if it has one)
    and selected from by :func:`s5_mm.curation.select`; from the next batch on the sampler draws the unlabeled images
    from the selection alone. The selection is a part of the checkpoints, so ``--resume`` goes on with it. Each is
    written to ``WORK_DIR/curation/iter_N.parquet`` with path, entropy, cluster and similarity.

    Args:
        budget: Images to keep, an integer; or a share of what is scored, above 0 and below 1.
        interval: Iterations between selections; ``None``: only the one before training.
        share: Random share of the pool that is scored each time, above 0 and up to 1.
        strategy: As :func:`s5_mm.curation.select` has it.
        on_shortfall: As above.
        num_clusters: M, prototypes on the labeled images, made anew each time, since features move in training.
        source: Name of the unlabeled source.
        labeled: Name of the labeled source.
        scoring: Options of :class:`s5_mm.curation.live.ScoringOptions`, e.g. ``dict(background=0, batch_size=64)``.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(self,
                 budget: int | float,
                 interval: int | None = None,
                 share: float = 1.0,
                 strategy: str = 'curated',
                 on_shortfall: str = 'skip',
                 num_clusters: int = curation.DEFAULT_NUM_CLUSTERS,
                 source: str = 'unlabeled',
                 labeled: str = 'labeled',
                 scoring: dict | None = None) -> None:
        if not (budget >= 1 if isinstance(budget, int) else 0 < budget < 1):
            raise ValueError(f'DatasetFilterHook: budget is {budget}; it is a number of images (an integer) or a share '
                             'above 0 and below 1. To keep all images, leave the hook out.')
        if interval is not None and interval < 1:
            raise ValueError(f'DatasetFilterHook: interval is {interval}; it must be at least 1, or None.')
        if not 0 < share <= 1:
            raise ValueError(f'DatasetFilterHook: share is {share}; it must be above 0 and up to 1.')
        for name, value, known in (('strategy', strategy, list(curation.STRATEGIES)),
                                   ('on_shortfall', on_shortfall, list(ON_SHORTFALL))):
            if value not in known:
                raise ValueError(f'DatasetFilterHook: {name} is {value!r}; choose from {known}.')
        unknown = sorted(set(scoring or {}) - set(ScoringOptions._fields))
        if unknown:
            raise ValueError(f'DatasetFilterHook: scoring.{unknown[0]} is unknown; choose from '
                             f'{list(ScoringOptions._fields)}.')
        self.budget = budget
        self.interval = interval
        self.share = share
        self.strategy = strategy
        self.on_shortfall = on_shortfall
        self.num_clusters = num_clusters
        self.source = source
        self.labeled = labeled
        self.scoring = ScoringOptions(**(scoring or {}))
        self._current: Selection | None = None
        self._restored: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Check that the pool can be filtered; select, or go on with the selection of the checkpoint."""
        pool = self._check(runner)
        self._log_scoring(runner)
        if self._restored is not None:
            self._restore(runner, pool)
        else:
            self._select(runner, pool, step=runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Select again when it is time, and start the loader anew: what its workers have ready is of the old pool."""
        step = runner.iter + 1
        if self.interval is None or step % self.interval or step >= runner.max_iters:
            return
        self._select(runner, runner.train_dataloader.dataset.sources[self.source], step)
        runner.train_loop.dataloader_iterator.skip_iter(step)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the selection into the checkpoint."""
        if self._current is None:
            return
        pool = runner.train_dataloader.dataset.sources[self.source]
        checkpoint['dataset_filter'] = dict(
            indices=torch.from_numpy(self._current.indices), first_step=self._current.first_step,
            paths_sha256=checksum_of_paths(pool.paths))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the selection out of a checkpoint that training is resumed from."""
        if runner._resume:
            self._restored = checkpoint.get('dataset_filter')

    def _check(self, runner: Runner) -> UnlabeledDataset:
        loader = runner.train_dataloader
        if not (isinstance(loader.dataset, MultiSourceDataset) and isinstance(loader.sampler, MultiSourceSampler) and
                isinstance(runner.train_loop, IterBasedTrainLoop)):
            raise ValueError(f'DatasetFilterHook: training draws from {type(loader.dataset).__name__} by '
                             f'{type(loader.sampler).__name__} in {type(runner.train_loop).__name__}; it needs '
                             'MultiSourceDataset, MultiSourceSampler and IterBasedTrainLoop.')
        sources = loader.dataset.sources
        needed = [self.source] + [self.labeled] * curation.STRATEGIES[self.strategy].by_cluster
        missing = [name for name in needed if name not in sources]
        if missing:
            raise ValueError(f'DatasetFilterHook: there is no source {missing[0]!r}, training has {sorted(sources)}; '
                             'name the unlabeled one in source=... and the labeled one in labeled=....')
        pool = sources[self.source]
        if not isinstance(pool, UnlabeledDataset):
            raise ValueError(f'DatasetFilterHook: source {self.source!r} is a {type(pool).__name__}, only an '
                             'UnlabeledDataset can be filtered.')
        self._check_labeled(sources)
        self._check_twins(pool, sources, loader.sampler)
        scored = self._num_scored(len(pool))
        if self._num_kept(scored) > scored or self._num_kept(scored) < 1:
            raise ValueError(f'DatasetFilterHook: budget is {self.budget}, {scored} of the {len(pool)} images of '
                             f'{self.source!r} are scored (share {self.share}); keep 1 to {scored} of them.')
        return pool

    def _check_labeled(self, sources: dict) -> None:
        """What would come to light only after the labeled images have been scored."""
        if not curation.STRATEGIES[self.strategy].by_cluster:
            return
        labeled = sources[self.labeled]
        if not hasattr(labeled, 'pipeline'):
            raise ValueError(f'DatasetFilterHook: source {self.labeled!r} is a {type(labeled).__name__} without a '
                             'pipeline of its own, whose images cannot be read alone; give one dataset, or a '
                             "strategy without quotas ('random', 'entropy').")
        if not 1 <= self.num_clusters <= len(labeled):
            raise ValueError(f'DatasetFilterHook: num_clusters is {self.num_clusters}, there are {len(labeled)} '
                             f'labeled images; make it 1 to {len(labeled)}.')

    def _check_twins(self, pool: UnlabeledDataset, sources: dict, sampler: MultiSourceSampler) -> None:
        """Whether the pool is drawn from under another name too, past the selection."""
        for name in sampler.per_batch:
            other = sources[name]
            if name == self.source or not isinstance(other, UnlabeledDataset) or not _same_images(pool, other):
                continue
            if sampler.same_order.get(name) != self.source:
                raise ValueError(f'DatasetFilterHook: source {name!r} draws from the same images as {self.source!r} '
                                 'and would not be filtered; let it take over the order, '
                                 f'sampler.same_order=dict({name}={self.source!r}).')

    def _log_scoring(self, runner: Runner) -> None:
        background = self.scoring.background
        if background is None:
            told = 'counts all classes; scoring=dict(background=...) leaves one out'
        else:
            classes = runner.train_dataloader.dataset.metainfo.get('classes') or ()
            name = f' ({classes[background]})' if background < len(classes) else ''
            told = f'leaves out class {background}{name}'
        runner.logger.info('DatasetFilterHook: the entropy %s', told)

    def _num_scored(self, pool_size: int) -> int:
        return max(1, round(self.share * pool_size))

    def _num_kept(self, scored: int) -> int:
        return int(self.budget) if self.budget >= 1 else int(self.budget * scored)

    def _restore(self, runner: Runner, pool: UnlabeledDataset) -> None:
        if self._restored['paths_sha256'] != checksum_of_paths(pool.paths):
            raise ValueError(f'DatasetFilterHook: the checkpoint holds a selection from another pool than '
                             f'{pool.source} with its {len(pool)} images; resume with the pool that training began '
                             'with, or start anew with load_from.')
        self._apply(runner, Selection(self._restored['indices'].numpy(), self._restored['first_step']))
        runner.logger.info('Pool %s: %d of %d images, selected at iteration %d, as the checkpoint says', self.source,
                           len(self._current.indices), len(pool), self._current.first_step)

    def _select(self, runner: Runner, pool: UnlabeledDataset, step: int) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        # The sampler's seed is the same on all processes, whatever seed each of them runs with.
        seed = runner.train_dataloader.sampler.seed
        prototypes = None
        if curation.STRATEGIES[self.strategy].by_cluster:
            labeled = runner.train_dataloader.dataset.sources[self.labeled]
            prototypes = labeled_prototypes(model, labeled, self.scoring, self.num_clusters, seed)
        drawing = np.random.default_rng(derive_seed(seed, 'scored share', step))
        indices = np.sort(drawing.permutation(len(pool))[:self._num_scored(len(pool))])
        scores = score_dataset(model, pool, indices, self.scoring, prototypes)
        chosen = self._choose(scores, prototypes, pool, seed) if get_rank() == 0 else None
        chosen = all_gather_object(chosen)[0]
        previous = self._current
        self._apply(runner, Selection(scores.index[chosen], step))
        self._report(runner, pool, scores, chosen, previous)

    def _choose(self, scores: Scores, prototypes: Prototypes | None, pool: UnlabeledDataset, seed: int) -> np.ndarray:
        """Rows of the scores that are kept, ascending."""
        if not len(scores.index):
            raise RuntimeError(f'DatasetFilterHook: none of the images of {self.source!r} could be scored; the first: '
                               f'{scores.failures[0].reason}')
        # Unreadable images make the pool smaller than it was when the budget was checked.
        budget = min(self._num_kept(self._num_scored(len(pool))), len(scores.index))
        table = pa.table(dict(path=pool.paths.take(pa.array(scores.index)), entropy=scores.entropy,
                              cluster=scores.cluster, row=np.arange(len(scores.index))))
        counts = None if prototypes is None else prototypes.counts
        selected = curation.select(table, budget, counts, self.strategy, self.on_shortfall, seed).table
        if not len(selected):
            raise RuntimeError('DatasetFilterHook: the selection is empty, no cluster with labeled images has '
                               "unlabeled ones; choose fewer clusters or on_shortfall='redistribute'.")
        return np.sort(selected['row'].to_numpy())

    def _apply(self, runner: Runner, selection: Selection) -> None:
        runner.train_dataloader.sampler.restrict(self.source, selection)
        self._current = selection

    def _report(self, runner: Runner, pool: UnlabeledDataset, scores: Scores, chosen: np.ndarray,
                previous: Selection | None) -> None:
        step, kept = self._current.first_step, scores.index[chosen]
        new = len(kept) if previous is None else len(np.setdiff1d(kept, previous.indices))
        runner.logger.info(
            'Pool %s: %d of %d images kept, %d of them new; mean entropy %.4f, of all scored %.4f; %d unreadable',
            self.source, len(kept), len(scores.index) + len(scores.failures), new, scores.entropy[chosen].mean(),
            scores.entropy.mean(), len(scores.failures))
        if get_rank():
            return
        manifest = pa.table(dict(path=pool.paths.take(pa.array(kept)), entropy=scores.entropy[chosen],
                                 cluster=scores.cluster[chosen], similarity=scores.similarity[chosen]))
        buffer = pa.BufferOutputStream()
        pq.write_table(manifest, buffer, compression='zstd')
        write_bytes(Path(runner.work_dir) / 'curation' / f'iter_{step}.parquet', buffer.getvalue().to_pybytes())


def _same_images(one: UnlabeledDataset, other: UnlabeledDataset) -> bool:
    return Path(one.root).resolve() == Path(other.root).resolve() and one.paths.equals(other.paths)

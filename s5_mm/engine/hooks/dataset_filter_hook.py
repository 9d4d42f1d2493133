"""Restrict the unlabeled pool to what the model judges reliable and diverse, repeatedly while it trains."""
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from s5_mm.curation.pool_filter import PoolFilter
from s5_mm.curation.score_table import checksum_of_paths
from s5_mm.datasets import MultiSourceDataset, MultiSourceSampler, UnlabeledDataset
from s5_mm.datasets.samplers import SourceSubset
from s5_mm.hosts import restart_loader
from s5_mm.models.networks import unwrapped
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class DatasetFilterHook(Hook):
    """Curate the pool during training (the selection of S5, arXiv 2508.12409, Eq. 1-3, with the current model).

    Before training and every ``interval`` iterations :class:`s5_mm.curation.pool_filter.PoolFilter` selects from the
    pool; from the next batch on the sampler draws the unlabeled images from the selection alone. The selection is
    stored in the checkpoints, so a resumed run continues with it. Each is written to
    ``WORK_DIR/curation/iter_N.parquet``.

    Args:
        budget: Number of images to keep (an integer), or a share of those that are scored, above 0 and below 1.
        interval: Iterations between selections; ``None``: only the one before training.
        options: Other arguments of :class:`~s5_mm.curation.pool_filter.PoolFilter`.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(self, budget: int | float, interval: int | None = None, **options: Any) -> None:
        if interval is not None and interval < 1:
            raise ValueError(f'DatasetFilterHook: interval is {interval}; it must be at least 1, or None.')
        self.filter = PoolFilter(budget, **options)
        self.interval = interval
        self._current: SourceSubset | None = None
        self._loaded: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Check that the pool can be filtered; select, or restore the selection of the checkpoint."""
        loader = runner.train_dataloader
        if not (isinstance(loader.dataset, MultiSourceDataset) and isinstance(loader.sampler, MultiSourceSampler) and
                isinstance(runner.train_loop, IterBasedTrainLoop)):
            raise ValueError(f'DatasetFilterHook: training draws from {type(loader.dataset).__name__} by '
                             f'{type(loader.sampler).__name__} in {type(runner.train_loop).__name__}; it needs '
                             'MultiSourceDataset, MultiSourceSampler and IterBasedTrainLoop.')
        self.filter.check(loader.dataset.sources)
        note = self.filter.background_note(loader.dataset.metainfo.get('classes') or ())
        runner.logger.info('DatasetFilterHook: %s', note)
        # A checkpoint that gives only the initial weights (load_from) leaves the iteration at 0.
        if self._loaded is not None and runner.iter > 0:
            self._restore(runner, self._loaded)
        else:
            self._select(runner, runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Select again when it is due, and restart the loader: its workers prefetch from the old selection."""
        step = runner.iter + 1
        if self.interval is None or step % self.interval or step >= runner.max_iters:
            return
        self._select(runner, step)
        restart_loader(runner, step)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the selection in the checkpoint."""
        if self._current is not None:
            checkpoint['dataset_filter'] = dict(
                indices=torch.from_numpy(self._current.indices), first_step=self._current.first_step,
                paths_sha256=checksum_of_paths(self._pool(runner).paths))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the selection of a checkpoint until training starts."""
        self._loaded = checkpoint.get('dataset_filter')

    def _pool(self, runner: Runner) -> UnlabeledDataset:
        return runner.train_dataloader.dataset.sources[self.filter.source]

    def _restore(self, runner: Runner, loaded: dict) -> None:
        pool = self._pool(runner)
        if loaded['paths_sha256'] != checksum_of_paths(pool.paths):
            raise ValueError(f'DatasetFilterHook: the checkpoint holds a selection from another pool than '
                             f'{pool.source} with its {len(pool)} images; resume with the pool that training began '
                             'with, or start anew with load_from.')
        self._apply(runner, SourceSubset(loaded['indices'].numpy(), loaded['first_step']))
        runner.logger.info('Pool %s: %d of %d images, selected at iteration %d, as the checkpoint says',
                           self.filter.source, len(self._current.indices), len(pool), self._current.first_step)

    def _select(self, runner: Runner, step: int) -> None:
        loader, previous = runner.train_dataloader, self._current
        # The sampler's seed is the same on all processes.
        kept = self.filter.select(unwrapped(runner.model), loader.dataset.sources, step, loader.sampler.seed)
        self._apply(runner, SourceSubset(kept.indices, step))
        summary = kept.summary(None if previous is None else previous.indices)
        runner.logger.info('Pool %s: %s', self.filter.source, summary)
        if is_main_process():
            kept.write(Path(runner.work_dir) / 'curation' / f'iter_{step}.parquet')

    def _apply(self, runner: Runner, selection: SourceSubset) -> None:
        runner.train_dataloader.sampler.restrict(self.filter.source, selection)
        self._current = selection

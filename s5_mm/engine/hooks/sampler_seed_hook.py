"""Give the sampler the seed of the run, and the place in the order of the data."""
from mmengine.dist import all_gather_object
from mmengine.hooks import DistSamplerSeedHook
from mmengine.runner import Runner

from s5_mm.datasets import MultiSourceSampler
from s5_mm.datasets.samplers import Stretch
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class SamplerSeedHook(DistSamplerSeedHook):
    """MMEngine's hook, which also gives a :class:`s5_mm.MultiSourceSampler` what a checkpoint says about it.

    MMEngine passes its seed to the sampler when it builds the loader. A resumed run takes over the checkpoint's seed
    later, and without it would draw the samples in another order. Checkpoints also say how many draws each batch took
    (``sampler``), so that a run that is resumed with another number of processes or another batch size goes on with the
    next draw. Those without it, of other versions, are taken for ones of the same numbers.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._loaded: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Set the sampler's seed and its history.

        Raises:
            ValueError: The seeds of the processes differ, or the checkpoint is of other sources.
        """
        sampler = runner.train_dataloader.sampler
        if not isinstance(sampler, MultiSourceSampler):
            return
        seeds = all_gather_object(runner.seed)
        if len(set(seeds)) > 1:
            raise ValueError(f'The processes run with the seeds {seeds}, but they divide one order of the data among '
                             'them, for which they need one seed; leave out randomness.diff_rank_seed (augmentation '
                             'and dropout differ between processes anyway).')
        sampler.seed = runner.seed
        # A checkpoint that gives only the initial weights (load_from) leaves the iteration at 0.
        if self._loaded is not None and runner.iter > 0:
            history = [Stretch(stretch['first_step'], stretch['draws']) for stretch in self._loaded['history']]
            if sampler.resume(history, runner.iter):
                runner.logger.warning(
                    'Resumed with another batch: %s samples of all processes together before, %s now. The order of the '
                    'samples stays, each is drawn once an epoch of its source. The learning rate stays that of the '
                    'checkpoint; --auto-scale-lr --cfg-options default_hooks.resume.schedule_from=config adapts it to '
                    'the batch.', history[-1].draws, sampler.draws_per_step)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the sampler's history."""
        sampler = runner.train_dataloader.sampler
        if isinstance(sampler, MultiSourceSampler):
            checkpoint['sampler'] = dict(history=[stretch._asdict() for stretch in sampler.history])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the history of a checkpoint until training starts."""
        self._loaded = checkpoint.get('sampler')

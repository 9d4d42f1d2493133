"""Give the sampler the seed of the run."""
from mmengine.dist import all_gather_object
from mmengine.hooks import DistSamplerSeedHook
from mmengine.runner import Runner

from s5_mm.datasets import MultiSourceSampler
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class SamplerSeedHook(DistSamplerSeedHook):
    """MMEngine's hook, which also gives a :class:`s5_mm.MultiSourceSampler` the runner's seed before training.

    MMEngine passes its seed to the sampler when it builds the loader. A resumed run takes over the checkpoint's seed
    later, and without it would draw the samples in another order.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Set the sampler's seed.

        Raises:
            ValueError: The seeds of the processes differ.
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

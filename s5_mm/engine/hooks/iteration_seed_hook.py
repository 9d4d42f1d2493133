"""Make every training step's random numbers a function of the seed, the rank and the iteration."""
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.datasets import MultiSourceSampler
from s5_mm.randomness import derive_seed, seed_generators
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed before each iteration, so that ``--resume`` continues as if training had never stopped.

    With a :class:`s5_mm.MultiSourceSampler` a resumed run sees the same samples with the same augmentations, drops the
    same paths and pastes the same boxes. The seed is the runner's, which its checkpoints carry.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Give the sampler the seed of the run, which a resumed run has only now, and check the batch size.

        Raises:
            ValueError: The seeds of the processes differ, or ``batch_size`` is not the sampler's.
        """
        loader = runner.train_dataloader
        if not isinstance(loader.sampler, MultiSourceSampler):
            return
        if runner._randomness_cfg.get('diff_rank_seed'):
            raise ValueError('randomness.diff_rank_seed is True, but the processes divide one order of the data among '
                             'them, for which they need one seed; leave it out (augmentation and dropout differ '
                             'between processes anyway).')
        loader.sampler.seed = runner.seed
        if loader.batch_size != loader.sampler.batch_size:
            raise ValueError(f'train_dataloader.batch_size is {loader.batch_size}, but its sampler puts '
                             f'{loader.sampler.batch_size} samples into a batch, {loader.sampler.per_batch}; set '
                             'batch_size to their sum.')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seed the generators of the CPU and the devices."""
        seed_generators(derive_seed(runner.seed, 'iteration', get_rank(), runner.iter))

"""Make every training step's random numbers a function of the seed, the rank and the iteration."""
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.randomness import derive_seed, seed_generators
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed all generators before each iteration, so that a resumed run draws the numbers of an uninterrupted one.

    Drop path, dropout and CutMix then repeat exactly. The seed is the runner's, which its checkpoints carry.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seed the generators of the CPU and the devices."""
        seed_generators(derive_seed(runner.seed, 'iteration', get_rank(), runner.iter))

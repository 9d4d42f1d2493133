"""Find out before training that its batches do not suit the model."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from s5_mm.datasets import MultiSourceSampler
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class BatchCompositionHook(Hook):
    """Let a :class:`s5_mm.MultiDatasetSegmentor` check what its :class:`s5_mm.MultiSourceSampler` will draw."""

    def before_train(self, runner: Runner) -> None:
        """Compare the sampler's ``per_batch`` with the model.

        Raises:
            ValueError: The data sets are others than the model's, or one has too few images in a batch.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        sampler = runner.train_dataloader.sampler
        if isinstance(sampler, MultiSourceSampler) and hasattr(model, 'check_batch'):
            model.check_batch(sampler.per_batch)

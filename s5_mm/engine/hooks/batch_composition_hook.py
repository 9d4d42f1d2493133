"""Find out before training that its batches do not suit the model."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from s5_mm.datasets import MultiSourceSampler
from s5_mm.engine.loops.naming import check_alike, check_classes
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class BatchCompositionHook(Hook):
    """Compare a model of several datasets with what its :class:`s5_mm.MultiSourceSampler` will draw."""

    def before_train(self, runner: Runner) -> None:
        """Compare the sampler's ``per_batch`` and the classes of what it draws from with the model.

        Raises:
            ValueError: The datasets are others than the model's, or one has too few images in a batch, or another
                number of classes than its head, or other classes in validation.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        loader = runner.train_dataloader
        if isinstance(loader.sampler, MultiSourceSampler) and hasattr(model, 'check_batch'):
            model.check_batch(loader.sampler.per_batch)
            drawn = {name: loader.dataset.sources[name] for name in loader.sampler.per_batch}
            check_classes('train_dataloader', drawn, model)
            if runner.val_loop is None:
                return
            validated = getattr(runner.val_dataloader.dataset, 'sources', {})
            for name in drawn.keys() & validated.keys():
                check_alike(f'dataset {name!r}', drawn[name], validated[name])

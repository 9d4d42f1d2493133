"""Training whose length is given in epochs of the longest dataset."""
import math
from typing import Any

from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader

from s5_mm.datasets import MultiSourceSampler
from s5_mm.engine.hooks.preflight_hook import check_known
from s5_mm.registry import LOOPS


@LOOPS.register_module()
class LongestEpochTrainLoop(IterBasedTrainLoop):
    """An iteration-based loop of ``max_epochs`` epochs, where an epoch is one of the dataset that takes longest.

    The loader draws a fixed number of images of each dataset with :class:`s5_mm.MultiSourceSampler`; an epoch is the
    largest ``ceil(samples / (samples of it a batch * processes))``, and shorter datasets repeat, as S5 trains MoE-MDF.
    Resume is exact. Everything else counts in iterations: write ``by_epoch=False`` in ``param_scheduler``, whose
    ``end`` becomes the last iteration if it is not given, or MMEngine's ``convert_to_iter_based=True`` to give it in
    these epochs, whose ``end`` becomes the last of them.

    Args:
        runner: The runner.
        dataloader: Loader or its config.
        max_epochs: Epochs of the longest dataset, at least 1.
        val_begin: Epoch after which validation may start.
        val_interval: Epochs between two validations; there is one at the end in any case.
        dynamic_intervals: Pairs (epoch, interval in epochs from then on).
        fast_forward_on_resume: MMEngine's: ``True`` gives up the exact resume.

    Raises:
        ValueError: ``max_epochs`` or an interval is below 1, the sampler is another one, the model does not know a
            dataset, or a scheduler counts epochs.
    """

    def __init__(self,
                 runner: Runner,
                 dataloader: DataLoader | dict,
                 max_epochs: int,
                 val_begin: int = 1,
                 val_interval: int = 1,
                 dynamic_intervals: list[tuple[int, int]] | None = None,
                 fast_forward_on_resume: bool = False) -> None:
        for name, value in dict(max_epochs=max_epochs, val_interval=val_interval).items():
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f'LongestEpochTrainLoop: {name} is {value!r}; give a number of epochs, at least 1.')
        BaseLoop.__init__(self, runner, dataloader)
        sampler = self.dataloader.sampler
        if not isinstance(sampler, MultiSourceSampler):
            raise ValueError(f'LongestEpochTrainLoop: the sampler is a {type(sampler).__name__}; set '
                             "train_dataloader.sampler.type='s5_mm.MultiSourceSampler', whose per_batch says what an "
                             'epoch is.')
        check_known('train_dataloader', sampler.per_batch, runner.model)
        self.epoch_length = epoch_length(sampler)
        super().__init__(
            runner,
            self.dataloader,
            max_iters=max_epochs * self.epoch_length,
            val_begin=val_begin * self.epoch_length,
            val_interval=val_interval * self.epoch_length,
            dynamic_intervals=dynamic_intervals and [tuple(n * self.epoch_length for n in pair)
                                                     for pair in dynamic_intervals],
            fast_forward_on_resume=fast_forward_on_resume)
        self.longest_epochs = max_epochs
        self.convert_schedule(runner.param_schedulers)
        runner.logger.info(f'{max_epochs} epochs of {self.epoch_length} iterations: {self.max_iters} iterations')

    def convert_schedule(self, schedulers: Any) -> None:
        """Let MMEngine convert schedulers with epochs of the longest dataset, instead of the length of the loader.

        Args:
            schedulers: ``param_scheduler`` of a config, changed in place.
        """
        schedulers = schedulers or []
        groups = schedulers.values() if isinstance(schedulers, dict) and 'type' not in schedulers else [schedulers]
        for group in groups:
            for scheduler in group if isinstance(group, list | tuple) else [group]:
                if isinstance(scheduler, dict) and scheduler.get('convert_to_iter_based', False):
                    scheduler.setdefault('end', self.longest_epochs)
                    scheduler['epoch_length'] = self.epoch_length

    def run(self) -> None:
        """Train."""
        schedulers = self.runner.param_schedulers or []
        groups = schedulers.values() if isinstance(schedulers, dict) else [schedulers]
        by_epoch = [type(scheduler).__name__ for group in groups for scheduler in group if scheduler.by_epoch]
        if by_epoch:
            raise ValueError(f'LongestEpochTrainLoop: {by_epoch} in param_scheduler counts epochs, of which this loop '
                             f'has one for its hooks; write by_epoch=False (an epoch has {self.epoch_length} '
                             'iterations), or convert_to_iter_based=True.')
        return super().run()


def epoch_length(sampler: MultiSourceSampler) -> int:
    """Number of iterations in which each dataset is drawn completely at least once.

    Args:
        sampler: States the size of each dataset and how many images of it are in a batch.
    """
    return max(math.ceil(sampler.sizes[name] / (number * sampler.world_size))
               for name, number in sampler.per_batch.items())

"""Checks of the length of a training and of its losses, before its first iteration."""
from collections.abc import Iterator
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from s5_mm.datasets import MultiSourceSampler


def check_loop(runner: Runner) -> None:
    """Epochs end, which those of an endless sampler do not.

    Raises:
        ValueError: The loop counts epochs of a loader that never ends.
    """
    loop, sampler = runner.train_loop, runner.train_dataloader.sampler
    if isinstance(loop, EpochBasedTrainLoop) and isinstance(sampler, MultiSourceSampler | InfiniteSampler):
        raise ValueError(f'train_cfg.type is {type(loop).__name__}, but {type(sampler).__name__} draws without end: '
                         'the first epoch would never be over, without a validation or a checkpoint. Give the length '
                         "in epochs by type='s5_mm.LongestEpochTrainLoop' (with MultiSourceSampler), in iterations by "
                         "type='IterBasedTrainLoop', or take sampler.type='DefaultSampler'.")


def check_schedule(runner: Runner) -> None:
    """Warn if the learning rate's schedule ends at another iteration than training."""
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    unit, length = ('epoch', runner.max_epochs) if by_epoch else ('iteration', runner.max_iters)
    remedy = 'Leave out end and T_max in param_scheduler: they then follow train_cfg.'
    if runner.iter > 0:
        remedy = ("A resumed training keeps the checkpoint's schedule; --cfg-options "
                  "default_hooks.resume.schedule_from=config takes that of the config.")
    # In a loop of epochs, schedules that count iterations are not compared: an epoch's length is the loader's.
    for scheduler in (scheduler for scheduler in schedulers_of(runner) if scheduler.by_epoch == by_epoch):
        name, end = type(scheduler).__name__, _end_of(scheduler)
        late = sorted(step for step in getattr(scheduler, 'milestones', ()) if step >= length)
        if late:
            runner.logger.warning(f'{name} changes the learning rate at {unit} {", ".join(map(str, late))}, but '
                                  f'training ends at {length}; adapt milestones to train_cfg.')
        elif end is not None and end > length:
            runner.logger.warning(f'{name} ends at {unit} {end}, but training at {length}, so the learning rate never '
                                  f'gets there. {remedy}')
        elif end is not None and end < length and hasattr(scheduler, 'eta_min'):
            runner.logger.warning(f'{name} ends at {unit} {end}, but training at {length}; the rest has the last '
                                  f'learning rate. {remedy}')


def check_channels(runner: Runner) -> None:
    """A softmax over one channel is 1 everywhere, whatever the network says.

    Raises:
        ValueError: A head has one output channel and a loss of softmax.
    """
    for name, module in runner.model.named_modules():
        losses = getattr(module, 'loss_decode', None)
        if losses is None or getattr(module, 'out_channels', None) != 1:
            continue
        losses = losses if isinstance(losses, nn.ModuleList) else [losses]
        if any(getattr(loss, 'use_sigmoid', None) is False for loss in losses):
            raise ValueError(f'{name or "The head"} has one output channel and a loss of softmax, which is 0 whatever '
                             'the network says. Set num_classes=2 and leave out out_channels, or set '
                             'loss_decode.use_sigmoid=True.')


def schedulers_of(runner: Runner) -> Iterator[Any]:
    """MMEngine's schedulers of all optimizers of a runner whose training has begun."""
    groups = runner.param_schedulers or []
    for group in groups.values() if isinstance(groups, dict) else [groups]:
        yield from group


def _end_of(scheduler: Any) -> int | None:
    """Where a scheduler that rises or falls to a value reaches it; ``None`` for others."""
    if hasattr(scheduler, 'T_max'):
        return scheduler.begin + scheduler.T_max
    return scheduler.end if hasattr(scheduler, 'eta_min') or hasattr(scheduler, 'end_factor') else None

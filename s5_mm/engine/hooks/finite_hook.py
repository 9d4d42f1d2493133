"""Stop a training that has become worthless."""
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from s5_mm.checkpoints.resuming import POINTER
from s5_mm.models.networks import unwrapped
from s5_mm.registry import HOOKS

from .batches import samples_of

SCALED_STEPS = 20
"""Steps that a loss scaler leaves out in a row while it halves its scale from 65,536 to below 1, and some more."""


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stop training whose losses or weights are not finite, and keep such weights out of all checkpoints.

    Args:
        patience: Iterations in a row with losses that are not finite, after which training stops, at least 1. Default:
            1; with a loss scaler (fp16), which leaves out the steps of such iterations, 20.

    Raises:
        ValueError: ``patience`` is below 1.
    """

    def __init__(self, patience: int | None = None) -> None:
        if patience is not None and patience < 1:
            raise ValueError(f'FiniteHook: patience is {patience}; it must be at least 1.')
        self.patience = patience
        self._bad = 0
        self._odd: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Check the weights.

        Raises:
            ValueError: A parameter is not finite. (Buffers may be constants of any kind.)
        """
        model = unwrapped(runner.model)
        self._odd = {name for name, value in model.named_buffers() if not is_finite(value)}
        bad = [name for name, value in model.named_parameters() if not is_finite(value)]
        if bad:
            raise ValueError(f'{_named(bad)} not finite before training starts; load other weights.')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Count iterations whose losses are not finite.

        Raises:
            ValueError: There were as many in a row as ``patience`` allows.
        """
        bad = {name: value for name, value in (outputs or {}).items()
               if 'loss' in name and not is_finite(torch.as_tensor(value))}
        self._bad = self._bad + 1 if bad else 0
        if not bad:
            return
        losses = ', '.join(f'{name} {float(torch.as_tensor(value).mean()):g}' for name, value in bad.items())
        text = f'Losses of iteration {runner.iter + 1} are not finite: {losses}. Its batch:{_images(data_batch)}'
        default = SCALED_STEPS if hasattr(runner.optim_wrapper, 'loss_scaler') else 1
        if self._bad < (self.patience or default):
            runner.logger.warning(text)
            return
        raise ValueError(f'{text}\nTraining stops; {_kept(runner)}. Look at these images and labels. A lower learning '
                         'rate, a longer warm-up, optim_wrapper.clip_grad, and bf16 in place of fp16 help against '
                         'divergence.')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the weights.

        Raises:
            ValueError: They are not finite; nothing is written.
        """
        bad = [name for name, value in checkpoint['state_dict'].items()
               if name not in self._odd and not is_finite(value)]
        if bad:
            raise ValueError(f'{_named(bad)} not finite, which no checkpoint may hold. Training stops; '
                             f'{_kept(runner)}. Resume from it with a lower learning rate or optim_wrapper.clip_grad.')


def is_finite(value: Tensor) -> bool:
    """Whether a tensor has neither NaN nor infinite values; integers never do."""
    # A sum is faster than a mask. It is finite only if all values are, and the mask decides if it overflows.
    return (not value.is_floating_point() or bool(torch.isfinite(value.sum()))
            or bool(torch.isfinite(value).all()))


def _named(names: list[str]) -> str:
    shown = ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')
    return f'{len(names)} tensors of the weights ({shown}) are' if len(names) > 1 else f'The tensor {shown} is'


def _kept(runner: Runner) -> str:
    pointer = Path(runner.work_dir) / POINTER  # MMEngine's message hub names a checkpoint before it is written
    return f'the last checkpoint is {pointer.read_text()}' if pointer.is_file() else 'there is no checkpoint yet'


def _images(batch: dict | None) -> str:
    """A line for each dataset with the paths of its images."""
    paths: dict[str, list[str]] = {}
    for sample in samples_of((batch or {}).get('data_samples')):
        paths.setdefault(sample.get('dataset_name', 'images'), []).append(str(sample.get('img_path', '?')))
    return ''.join(f'\n{name}: {", ".join(files)}' for name, files in paths.items()) or ' unknown'

"""Warn when training diverges instead of learning."""
import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.registry import HOOKS


@HOOKS.register_module()
class DivergenceHook(Hook):
    """Warn in the log when the loss or the gradient norm grows out of proportion or is not finite.

    Every ``interval`` iterations form a window, of which the median counts. The loss is compared with that of the first
    window, the gradient norm (logged where ``optim_wrapper.clip_grad`` is set) with the lowest one so far. Of several
    bad windows in a row the first one is reported.

    Args:
        interval: Iterations of a window, at least 1.
        loss_factor: A loss above this multiple of the first one is reported, above 1. Losses that join later, such as
            the unlabeled one of S4P, stay below.
        grad_norm_factor: A gradient norm above this multiple of the lowest one is reported, above 1.

    Raises:
        ValueError: An option is out of its range.
    """

    def __init__(self, interval: int = 50, loss_factor: float = 2.0, grad_norm_factor: float = 20.0) -> None:
        if interval < 1:
            raise ValueError(f'DivergenceHook: interval is {interval}; it must be at least 1.')
        if min(loss_factor, grad_norm_factor) <= 1:
            raise ValueError(f'DivergenceHook: loss_factor is {loss_factor} and grad_norm_factor {grad_norm_factor}; '
                             'both must be above 1.')
        self.interval = interval
        self.loss_factor = loss_factor
        self.grad_norm_factor = grad_norm_factor

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Look at the window that ends with this iteration."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        loss, norm = self._medians(runner, 'loss'), self._medians(runner, 'grad_norm')
        self._report(runner, 'loss', loss, loss[:1], self.loss_factor)
        self._report(runner, 'gradient norm', norm, np.minimum.accumulate(norm), self.grad_norm_factor)

    def _medians(self, runner: Runner, name: str) -> np.ndarray:
        """Median of each window so far, (windows, ); infinite where half of the values are not finite."""
        history = runner.message_hub.log_scalars.get(f'train/{name}')
        values = np.asarray(history.data[0] if history else [], np.float64)
        values = np.where(np.isfinite(values), values, np.inf)[len(values) % self.interval:]
        return np.median(values.reshape(-1, self.interval), axis=1)

    def _report(self, runner: Runner, name: str, medians: np.ndarray, allowed: np.ndarray, factor: float) -> None:
        """Warn if the last window is the first bad one."""
        bad = ~np.isfinite(medians) | (medians > factor * allowed)
        if not bad[-1:].any() or bad[-2:-1].any():
            return
        runner.logger.warning(
            f'training diverges: the {name} is {medians[-1]:.4g} (median of iterations '
            f'{runner.iter + 2 - self.interval} to {runner.iter + 1}), it was {medians[:-1].min(initial=np.inf):.4g} '
            'at its lowest; a lower learning rate, a longer warm-up or optim_wrapper.clip_grad may help; damaged data '
            'or labels are another cause')

"""Let a loss of a semi-supervised model grow into its weight."""
import math

from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.models import SemiBaseSegmentor
from s5_mm.models.networks import unwrapped
from s5_mm.registry import HOOKS

SHAPES = dict(
    linear=lambda t: t,
    exponential=lambda t: math.exp(-5 * (1 - t)**2),
)
"""Share of the weight at t from 0 to 1: in equal steps, or as mean teacher has it (arXiv 1703.01780)."""


@HOOKS.register_module()
class LossRampHook(Hook):
    """Multiply the weight of a loss by a factor that rises from 0 (``exponential``: 0.0067) to 1.

    Early pseudo-labels are wrong more often, and the labeled loss is not done with its work yet. The factor is a
    function of the iteration, so a resumed run goes on with it.

    Args:
        end: Iteration from which the factor is 1, above ``begin``.
        begin: Iteration at which it begins to rise, at least 0.
        shape: ``'linear'`` or ``'exponential'``.
        loss: Name of the loss in ``model.loss_weights``.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(self, end: int, begin: int = 0, shape: str = 'linear', loss: str = 'loss_u') -> None:
        if not 0 <= begin < end:
            raise ValueError(f'LossRampHook: begin is {begin} and end {end}; they must be in order, from 0 on.')
        if shape not in SHAPES:
            raise ValueError(f'LossRampHook: shape is {shape!r}; it must be one of {", ".join(SHAPES)}.')
        self.begin = begin
        self.end = end
        self.shape = SHAPES[shape]
        self.loss = loss
        self.full_weight = 1.0

    def before_train(self, runner: Runner) -> None:
        """Note the full weight.

        Raises:
            TypeError: The model is no :class:`s5_mm.SemiBaseSegmentor`.
        """
        model = unwrapped(runner.model)
        if not isinstance(model, SemiBaseSegmentor):
            raise TypeError(f'LossRampHook changes the loss weights of a SemiBaseSegmentor, the model is a '
                            f'{type(model).__name__}; remove the hook from custom_hooks.')
        self.full_weight = model.loss_weights.get(self.loss, 1.0)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Set the weight of this iteration."""
        t = min(1.0, max(0.0, (runner.iter - self.begin) / (self.end - self.begin)))
        unwrapped(runner.model).loss_weights[self.loss] = self.full_weight * self.shape(t)

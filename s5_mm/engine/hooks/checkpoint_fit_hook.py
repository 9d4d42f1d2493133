"""Refuse to go on with weights that are not the model's."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from s5_mm.registry import HOOKS


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Make a checkpoint that does not fit the model an error, where MMEngine would log it and go on with noise.

    Args:
        min_share: Share of the model's parameters (in numbers) that the checkpoint must hold by name and shape, in
            [0, 1]. Below 1, since a position table of another size is resized while it is loaded.
    """

    def __init__(self, min_share: float = 0.95) -> None:
        self.min_share = min_share

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes.

        Raises:
            ValueError: Too little fits.
        """
        check_fit(runner.model.module if is_model_wrapper(runner.model) else runner.model, checkpoint, self.min_share)


def check_fit(model: nn.Module, checkpoint: dict, min_share: float = 0.95) -> None:
    """Compare a checkpoint with a model by names and shapes.

    Args:
        model: The model.
        checkpoint: What was loaded into it, a ``state_dict`` or a dict that has one. A model that takes other formats
            says by ``adapt_weights`` what they are under its own names.
        min_share: See :class:`CheckpointFitHook`.

    Raises:
        ValueError: Too little fits, or a parameter is not there at all.
    """
    weights = checkpoint.get('state_dict', checkpoint)
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    weights = model.adapt_weights(weights) if hasattr(model, 'adapt_weights') else weights
    own = dict(model.named_parameters())
    absent = [name for name in own if name not in weights]
    fitting = [p.numel() for name, p in own.items() if name in weights and weights[name].shape == p.shape]
    share = sum(fitting) / sum(p.numel() for p in own.values())
    if share < min_share or absent:
        raise ValueError(
            f'The checkpoint holds {share:.1%} of the parameters of the config\'s {type(model).__name__}, at least '
            f'{min_share:.0%} must be there and each by name: its names begin with {sorted(weights)[:2]}, the model\'s '
            f'with {sorted(own)[:2]}; {absent[:2]} are missing. Give the config that it was trained with (a FixMatch '
            'checkpoint needs the FixMatch config; an encoder alone is a start, not a model).')

"""Refuse to go on with weights that are not the model's."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from s5_mm.checkpoints import MIN_SHARE
from s5_mm.checkpoints.encoder import mismatch
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Make a checkpoint that does not fit the model an error, where MMEngine would log it and go on with noise.

    Args:
        min_share: Share of the model's parameters (in numbers) that the checkpoint must hold by name and shape, in
            [0, 1]. Below 1, since a position table of another size is resized while it is loaded.
        encoder_only: Whether only the encoder counts, as for the start of a training whose heads are new. Its pyramid
            does not count, which files of pre-training do not hold.
    """

    def __init__(self, min_share: float = MIN_SHARE, encoder_only: bool = False) -> None:
        self.min_share = min_share
        self.encoder_only = encoder_only

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes.

        Raises:
            ValueError: Too little fits.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_fit(model, checkpoint, self.min_share, self.encoder_only)


def check_fit(model: nn.Module, checkpoint: dict, min_share: float = MIN_SHARE, encoder_only: bool = False) -> None:
    """Compare a checkpoint with a model by names and shapes.

    Args:
        model: The model.
        checkpoint: What was loaded into it, a ``state_dict`` or a dict that has one. A model that takes other formats
            says by ``adapt_weights`` what they are under its own names.
        min_share: See :class:`CheckpointFitHook`.
        encoder_only: See :class:`CheckpointFitHook`.

    Raises:
        ValueError: Too little fits, a parameter has another shape, or, unless ``encoder_only``, is not there at all.
    """
    weights = checkpoint.get('state_dict', checkpoint)
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    weights = model.adapt_weights(weights) if hasattr(model, 'adapt_weights') else weights
    own = {name: p for name, p in model.named_parameters() if not encoder_only or _of_encoder(name)}
    absent = [name for name in own if name not in weights]
    fitting = [p.numel() for name, p in own.items() if name in weights and weights[name].shape == p.shape]
    unfit = [name for name, p in own.items() if not name.endswith('pos_embed') and name in weights
             and weights[name].shape != p.shape]
    share = sum(fitting) / max(1, sum(p.numel() for p in own.values()))
    if own and share < min_share or absent and not encoder_only:
        raise ValueError(
            f'The checkpoint holds {share:.1%} of the parameters of the config\'s {type(model).__name__}'
            f'{" (encoder)" if encoder_only else ""}, at least {min_share:.0%} must be there and each by name: '
            f'{_lack(own, absent, weights)}. Give the config that it was trained with (a FixMatch '
            f'checkpoint needs the FixMatch config; an encoder alone is a start, not a model).{_reason(own, weights)}')
    if unfit:
        raise ValueError(
            f'{len(unfit)} parameters have another shape in the checkpoint, e.g. {unfit[0]}: '
            f'{tuple(weights[unfit[0]].shape)}, in the config\'s {type(model).__name__} {tuple(own[unfit[0]].shape)}; '
            'they would start from noise. Give the config that it was trained with, e.g. with as many classes.'
            f'{_reason(own, weights)}')


def _lack(own: dict[str, nn.Parameter], absent: list[str], weights: dict[str, Tensor]) -> str:
    """What is missing, and under which names things are if none is the model's."""
    lack = f'{", ".join(absent[:2])}{" and others" if len(absent) > 2 else ""} are missing'
    if len(absent) < len(own):
        return lack
    return f'its names begin with {sorted(weights)[:2]}, the model\'s with {sorted(own)[:2]}; {lack}'


def _reason(own: dict[str, nn.Parameter], weights: dict[str, Tensor]) -> str:
    """What is wrong with the encoder, if its shapes are."""
    mine, theirs = ({name.split('backbone.', 1)[1]: value for name, value in named.items() if 'backbone.' in name}
                    for named in (own, weights))
    unfit = {name for name in mine if name in theirs and name != 'pos_embed' and theirs[name].shape != mine[name].shape}
    return f' {mismatch(mine, theirs, unfit)}' if unfit else ''


def _of_encoder(name: str) -> bool:
    """Whether a parameter is of the trained network's encoder without its pyramid."""
    return 'backbone.' in name and '.pyramid.' not in name and not name.startswith('teacher.')

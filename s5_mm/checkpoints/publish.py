"""Cut the encoder out of a training checkpoint, for the stage that starts from it."""
from pathlib import Path

from torch import Tensor

from s5_mm.version import __version__

from .reading import read_checkpoint
from .writing import check_target, plain, write_weights

# Where a checkpoint holds encoders: FixMatchSegmentor's teacher, the network that it trains, a plain EncoderDecoder.
PREFIXES = {'teacher': ('teacher.module.backbone.', ), 'student': ('segmentor.backbone.', 'backbone.')}


def publish_encoder(checkpoint: str,
                    out: str,
                    part: str = 'auto',
                    force: bool = False) -> tuple[str, dict[str, Tensor]]:
    """Write the encoder's weights (fp32, no prefix) to a file that ``init_cfg=dict(type='Pretrained', ...)`` takes.

    Args:
        checkpoint: Of a training run with :class:`s5_mm.FixMatchSegmentor` or an mmseg ``EncoderDecoder``.
        out: ``.pth`` (``{'state_dict': weights, 'meta': origin}``) or ``.safetensors``.
        part: ``'teacher'``, ``'student'`` or ``'auto'``: the one that is evaluated, the teacher if there is one.
        force: Whether to replace ``out``.

    Returns:
        Which part it was, and the weights.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        FileExistsError: ``out`` exists and ``force`` is not set.
        ValueError: The suffix of ``out`` or the part is unknown, or the checkpoint does not hold such an encoder.
    """
    check_target(out, force)
    content = read_checkpoint(checkpoint)
    part, weights = select_encoder(content.get('state_dict', content), checkpoint, part)
    iteration = content.get('meta', {}).get('iter', 0)
    write_weights(out, weights, dict(source=Path(checkpoint).name, part=part, iter=iteration, s5_mm=__version__))
    return part, weights


def select_encoder(weights: dict[str, Tensor], filename: str, part: str = 'auto') -> tuple[str, dict[str, Tensor]]:
    """Take one encoder's weights.

    Args:
        weights: The checkpoint's.
        filename: Its name, for messages.
        part: As in :func:`publish_encoder`.

    Returns:
        Which part it was, and its weights without prefix; floating-point ones in fp32.

    Raises:
        ValueError: There is no such encoder.
    """
    if part not in ('auto', *PREFIXES):
        raise ValueError(f'part is {part!r}; choose one of auto, {", ".join(PREFIXES)}.')
    # A teacher that was never updated still holds the initial weights and is not what gets evaluated.
    trained = int(weights.get('teacher.steps', 0)) > 0
    wanted = part if part != 'auto' else 'teacher' if trained else 'student'
    if wanted == 'teacher' and not trained:
        raise ValueError(f'{filename} holds no teacher that was updated; take the trained network with --part student.')
    found = [prefix for prefix in PREFIXES[wanted] if any(name.startswith(prefix) for name in weights)]
    if not found:
        raise ValueError(f'{filename} holds no {wanted} encoder: none of its names begins with '
                         f'{" or ".join(PREFIXES[wanted])}, they begin with {sorted(weights)[:3]}. Give a checkpoint '
                         'of a FixMatchSegmentor or EncoderDecoder.')
    encoder = {name.removeprefix(found[0]): value for name, value in weights.items() if name.startswith(found[0])}
    return wanted, {name: plain(value) for name, value in encoder.items()}

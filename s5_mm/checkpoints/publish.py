"""Cut the encoder out of a training checkpoint, for the stage that starts from it."""
from pathlib import Path

from s5_mm.version import __version__

from .parts import ENCODER, PARTS, Weights, part_of, select_part
from .reading import read_checkpoint
from .writing import check_target, plain, write_weights


def publish_encoder(checkpoint: str, out: str, part: str = 'auto', force: bool = False) -> tuple[str, Weights]:
    """Write the encoder's weights (fp32, under its own names) to a file that the next stage starts from.

    Args:
        checkpoint: Of a training run with :class:`s5_mm.FixMatchSegmentor` or an mmseg ``EncoderDecoder``, with any
            encoder.
        out: ``.pth`` (``{'state_dict': weights, 'meta': origin}``) or ``.safetensors``.
        part: See :func:`s5_mm.checkpoints.parts.select_part`.
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
    part, weights = select_encoder(content['state_dict'], checkpoint, part)
    iteration = content.get('meta', {}).get('iter', 0)
    write_weights(out, weights, dict(source=Path(checkpoint).name, part=part, iter=iteration, s5_mm=__version__))
    return part, weights


def select_encoder(weights: Weights, filename: str, part: str = 'auto') -> tuple[str, Weights]:
    """Take one encoder's weights.

    Args:
        weights: The checkpoint's.
        filename: Its name, for messages.
        part: As there.

    Returns:
        Which part it was, and its weights without prefix; floating-point ones in fp32.

    Raises:
        ValueError: There is no such encoder.
    """
    part, network = select_part(weights, part, filename)
    encoder = part_of(network, ENCODER)
    if not encoder:
        raise ValueError(f'{filename} holds no {part} encoder: none of its names begins with {PARTS[part]}{ENCODER} or '
                         f'{ENCODER}, they begin with {sorted(weights)[:3]}. Give a checkpoint of a FixMatchSegmentor '
                         'or EncoderDecoder.')
    return part, {name: plain(value) for name, value in encoder.items()}

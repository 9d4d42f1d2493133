"""Cut the encoder out of a training checkpoint, for the stage that starts from it."""
import os
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from s5_mm.version import __version__

from .reading import read_checkpoint

# Where a checkpoint holds encoders: FixMatchSegmentor's teacher, the network that it trains, a plain EncoderDecoder.
PREFIXES = {'teacher': ('teacher.module.backbone.', ), 'student': ('segmentor.backbone.', 'backbone.')}
SUFFIXES = ('.pth', '.safetensors')


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


def plain(value: Tensor) -> Tensor:
    """A tensor with storage of its own; in fp32 if it is a floating-point one."""
    return value.detach().to(torch.float32 if value.is_floating_point() else value.dtype).clone().contiguous()


def check_target(out: str, force: bool = False, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Check that a file may be written.

    Args:
        out: The file.
        force: Whether it may replace another.
        suffixes: Kinds of files that can be written.

    Raises:
        FileExistsError: It exists and ``force`` is not set.
        ValueError: Its suffix is unknown.
    """
    target = Path(out)
    if target.suffix not in suffixes:
        raise ValueError(f'{out} ends in {target.suffix or "nothing"!r}; choose one of {", ".join(suffixes)}.')
    if target.exists() and not force:
        raise FileExistsError(f'{out} exists; choose another name or allow to replace it with --force.')


def write_weights(out: str, weights: dict[str, Tensor], origin: dict[str, str | int]) -> None:
    """Write weights under a temporary name and rename the file.

    Args:
        out: ``.pth`` (``{'state_dict': weights, 'meta': origin}``) or ``.safetensors``.
        weights: Tensors with storage of their own.
        origin: What is told about them.
    """
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f'{target.name}.part')
    if target.suffix == '.safetensors':
        # safetensors' own writer makes files that only their owner may read.
        unfinished.write_bytes(save(weights, {name: str(value) for name, value in origin.items()}))
    else:
        torch.save(dict(state_dict=weights, meta=origin), unfinished)
    os.replace(unfinished, target)

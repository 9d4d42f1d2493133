"""Write files of weights: never half, never over another one unasked, and one tensor in memory at a time."""
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from s5_mm.files import replacing

SUFFIXES = ('.pth', '.safetensors')
# How the format of safetensors calls what weights are made of.
DTYPES = {
    torch.float64: 'F64', torch.float32: 'F32', torch.float16: 'F16', torch.bfloat16: 'BF16', torch.int64: 'I64',
    torch.int32: 'I32', torch.int16: 'I16', torch.int8: 'I8', torch.uint8: 'U8', torch.bool: 'BOOL'}


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


def plain(value: Tensor) -> Tensor:
    """A tensor with storage of its own; in fp32 if it is a floating-point one."""
    return value.detach().to(torch.float32 if value.is_floating_point() else value.dtype).clone().contiguous()


def write_weights(out: str, weights: Mapping[str, Tensor], origin: Mapping[str, str | int], key: str = 'state_dict',
                  dtype: torch.dtype | None = None) -> None:
    """Write weights under a temporary name and rename the file.

    Tensors that lie in a mapped file are copied from there straight into the new one.

    Args:
        out: ``.pth`` (``{key: weights, 'meta': origin}``) or ``.safetensors``.
        weights: Tensors that share no storage.
        origin: What is told about them.
        key: Where a ``.pth`` file holds the weights.
        dtype: Of floating-point weights; ``None``: as they are.
    """
    target = Path(out)
    with replacing(target) as unfinished:
        if target.suffix == '.safetensors':
            _write_safetensors(unfinished, weights, origin, dtype)
        else:
            _write_pth(unfinished, {key: {name: _cast(value, dtype) for name, value in weights.items()},
                                    'meta': dict(origin)})


def _cast(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    return value.to(dtype) if dtype is not None and value.is_floating_point() else value


def _write_pth(path: Path, content: dict) -> None:
    try:
        with path.open('wb') as file:
            torch.save(content, file)
    except RuntimeError as error:
        # After an error of the file system torch fails again when it closes the archive.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


def _write_safetensors(path: Path, weights: Mapping[str, Tensor], origin: Mapping[str, str | int],
                       dtype: torch.dtype | None) -> None:
    """As safetensors' own writer, which holds the whole file in memory."""
    kinds = {name: dtype if dtype is not None and value.is_floating_point() else value.dtype
             for name, value in weights.items()}
    # Wide types first, so that all data are aligned.
    order = sorted(weights, key=lambda name: (-kinds[name].itemsize, name))
    header, end = {'__metadata__': {name: str(value) for name, value in origin.items()}}, 0
    for name in order:
        start, end = end, end + weights[name].numel() * kinds[name].itemsize
        header[name] = dict(dtype=DTYPES[kinds[name]], shape=list(weights[name].shape), data_offsets=[start, end])
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with path.open('wb') as file:
        file.write(len(text).to_bytes(8, 'little') + text)
        for name in order:
            value = _cast(weights[name], dtype).contiguous().reshape(-1)
            file.write(value.view(torch.uint8).numpy() if value.numel() else b'')

"""Open weight files without running code from them.

MMEngine's loaders fall back to full unpickling when a weights-only load fails. Importing this package puts
:func:`read_checkpoint` in the place of the one for local files and takes that fallback from the others, so that
``load_from``, ``resume`` and ``init_cfg`` never do that; there is no switch for it.
"""
import argparse
import re
import zipfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file


def _statistic(owner: type, name: str) -> Callable:
    """What history buffers mean where they are pickled with ``getattr``: one of their own methods and nothing else."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise UnpicklingError(f'Unsupported global: GLOBAL getattr({owner!r}, {name!r}) was not an allowed global')
    return getattr(owner, name)


SUFFIXES = ('.pth', '.pt', '.bin', '.ckpt', '.safetensors')
# Where files hold their weights, if not bare.
KEYS = ('state_dict', 'model', 'teacher')

# What the runner's own checkpoints hold beside tensors: the log's history buffers, which are NumPy arrays; MAE's hold
# the command line as a Namespace, which is plain data. MMEngine's list has `getattr` itself, with which a file could
# reach anything.
SAFE_GLOBALS = [
    argparse.Namespace,
    (_statistic, 'builtins.getattr'),
    HistoryBuffer, bytes, slice, np.ndarray, np.dtype, np._core.multiarray._reconstruct, np._core.multiarray.scalar,
    *(type(np.dtype(kind)) for kind in ('float64', 'float32', 'int64', 'int32', 'uint32', 'uint8', 'bool')),
]


@CheckpointLoader.register_scheme(prefixes='', force=True)
def read_checkpoint(filename: str, map_location: Any = 'cpu', mmap: bool = False) -> dict:
    """Read a ``.pth``/``.pt``/``.bin``/``.ckpt`` file as weights only, or a ``.safetensors`` file.

    Args:
        filename: Path on a local disk.
        map_location: As :func:`torch.load` takes it; default the CPU.
        mmap: Whether tensors stay on the disk until they are used; the file must not be changed meanwhile. Takes
            effect where the file's format and ``map_location='cpu'`` allow it.

    Returns:
        The file's content. A mapping of tensors found under ``model`` (MAE and others) or ``teacher`` is offered as
        ``state_dict``, the key that MMEngine looks for.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no checkpoint, is damaged, or would run code when loaded.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        what = 'a directory' if path.is_dir() else 'not a file'
        raise FileNotFoundError(f'Checkpoint {filename} is {what}; check the path (init_cfg.checkpoint or load_from of '
                                'the config, or the command line).')
    if path.suffix not in SUFFIXES:
        raise ValueError(f'Checkpoint {filename} ends in {path.suffix or "nothing"!r}; files of weights end in '
                         f'{", ".join(SUFFIXES)}.')
    if path.stat().st_size == 0:
        raise ValueError(f'Checkpoint {filename} is empty; get it anew.')
    if path.suffix == '.safetensors':
        return _read_safetensors(path, map_location)
    mapped = mmap and map_location == 'cpu' and zipfile.is_zipfile(path)
    content = _load_weights(path, map_location, mmap=mapped)
    if not isinstance(content, dict):
        raise ValueError(f'Checkpoint {filename} holds a {type(content).__name__}, expected a dict of tensors.')
    key = next((key for key in KEYS if isinstance(content.get(key), dict)), None)
    if key is not None:
        content['state_dict'] = content.pop(key)
    return content


def _load_weights(file: Path | BinaryIO, map_location: Any = None, mmap: bool = False) -> Any:
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(file, map_location=map_location, weights_only=True, mmap=mmap)
    except Exception as error:
        # The reader raises a dozen unrelated types on damaged files (IndexError, struct.error, AssertionError, ...).
        raise _unreadable(str(file), error) from error


# The loaders of addresses (https://, open-mmlab://, s3:// and so on) call these two.
mmengine_checkpoint._safe_torch_load = _load_weights
mmengine_checkpoint.load_url = partial(torch.hub.load_state_dict_from_url, weights_only=True)


def _read_safetensors(path: Path, map_location: Any) -> dict[str, Any]:
    try:
        with safe_open(path, framework='pt') as file:
            origin = file.metadata() or {}
        return {'state_dict': load_file(path, device=str(map_location or 'cpu')), 'meta': origin}
    except SafetensorError as error:
        raise ValueError(f'Checkpoint {path} is damaged or no safetensors file ({error}).') from error


def _unreadable(filename: str, error: Exception) -> ValueError:
    forbidden = re.search(r'GLOBAL (.+?) (?:was not an allowed global|whose module)', str(error))
    if isinstance(error, UnpicklingError) and forbidden:
        return ValueError(f'Checkpoint {filename} is refused: it holds more than weights ({forbidden[1]}), and loading '
                          'it could run code. Ask its author for a file of tensors, e.g. .safetensors.')
    if _is_plain_pickle(filename):
        return ValueError(f'Checkpoint {filename} is refused: it is a Python pickle and no file of torch.save, and '
                          'loading it could run code. Ask its author for a file of tensors, e.g. .safetensors.')
    reason = str(error).split('WeightsUnpickler error:')[-1].strip().split('\n')[0]
    return ValueError(f'Checkpoint {filename} is damaged or no PyTorch file ({type(error).__name__}: {reason}); '
                      'get it anew.')


def _is_plain_pickle(filename: str) -> bool:
    """Whether a file begins as pickles of protocol 3 and above do, which torch.save never writes."""
    path = Path(filename).expanduser()
    with path.open('rb') if path.is_file() else BytesIO() as file:
        return file.read(2) in (b'\x80\x03', b'\x80\x04', b'\x80\x05')

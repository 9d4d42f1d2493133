"""Open weight files without running code from them.

MMEngine's local-file loader falls back to full unpickling when a weights-only load fails. Importing this package puts
:func:`read_checkpoint` in its place, so that ``load_from``, ``resume`` and ``init_cfg`` never do that.
"""
import re
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError
from safetensors.torch import load_file


def _statistic(owner: type, name: str) -> Callable:
    """What history buffers mean where they are pickled with ``getattr``: one of their own methods and nothing else."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise UnpicklingError(f'Unsupported global: GLOBAL getattr({owner!r}, {name!r}) was not an allowed global')
    return getattr(owner, name)


# What the runner's own checkpoints hold beside tensors: the log's history buffers, which are NumPy arrays.
# MMEngine's list has `getattr` itself, with which a file could reach anything.
SAFE_GLOBALS = [
    (_statistic, 'builtins.getattr'),
    HistoryBuffer, bytes, slice, np.ndarray, np.dtype, np._core.multiarray._reconstruct, np._core.multiarray.scalar,
    *(type(np.dtype(kind)) for kind in ('float64', 'float32', 'int64', 'int32', 'uint32', 'uint8', 'bool')),
]


@CheckpointLoader.register_scheme(prefixes='', force=True)
def read_checkpoint(filename: str, map_location: Any = 'cpu') -> dict:
    """Read a ``.pth``/``.pt`` file as weights only, or a ``.safetensors`` file.

    Args:
        filename: Path on a local disk.
        map_location: As :func:`torch.load` takes it; default the CPU.

    Returns:
        The file's content. A mapping of tensors found under ``model`` (MAE and others) is offered as ``state_dict``,
        the key that MMEngine looks for.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no checkpoint, is damaged, or would run code when loaded.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'Checkpoint {filename} is not a file; check the path (init_cfg.checkpoint or '
                                'load_from of the config, or the command line).')
    if path.suffix == '.safetensors':
        return {'state_dict': _read_safetensors(path, map_location)}
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            content = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:
        # The reader raises a dozen unrelated types on damaged files (IndexError, struct.error, AssertionError, ...).
        raise _unreadable(filename, error) from error
    if not isinstance(content, dict):
        raise ValueError(f'Checkpoint {filename} holds a {type(content).__name__}, expected a dict of tensors.')
    if 'state_dict' not in content and isinstance(content.get('model'), dict):
        content['state_dict'] = content.pop('model')
    return content


def _read_safetensors(path: Path, map_location: Any) -> dict[str, torch.Tensor]:
    try:
        return load_file(path, device=str(map_location or 'cpu'))
    except SafetensorError as error:
        raise ValueError(f'Checkpoint {path} is damaged or no safetensors file ({error}).') from error


def _unreadable(filename: str, error: Exception) -> ValueError:
    forbidden = re.search(r'GLOBAL (.+?) (?:was not an allowed global|whose module)', str(error))
    if isinstance(error, UnpicklingError) and forbidden:
        return ValueError(f'Checkpoint {filename} is refused: it holds more than weights ({forbidden[1]}), and loading '
                          'it could run code. Ask its author for a file of tensors, e.g. .safetensors.')
    reason = str(error).split('WeightsUnpickler error:')[-1].strip().split('\n')[0]
    return ValueError(f'Checkpoint {filename} is damaged or no PyTorch file ({type(error).__name__}: {reason}); '
                      'get it anew.')

"""Open weight files without running code from them.

MMEngine's loaders fall back to full unpickling when a weights-only load fails; this reader never does, and there is no
switch for it.
"""
import argparse
import contextlib
import difflib
import json
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier, get_rank
from mmengine.fileio import get
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor

from s5_mm.hosts import numpy_makers


def _statistic(owner: type, name: str) -> Callable:
    """What history buffers mean where they are pickled with ``getattr``: one of their own methods and nothing else."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise UnpicklingError(f'Unsupported global: GLOBAL getattr({owner!r}, {name!r}) was not an allowed global')
    return getattr(owner, name)


# Where files hold their weights, if not bare.
KEYS = ('state_dict', 'model', 'teacher')

# What the runner's own checkpoints hold beside tensors: the log's history buffers, which are NumPy arrays; MAE's hold
# the command line as a Namespace, which is plain data. MMEngine's list has `getattr` itself, with which a file could
# reach anything.
SAFE_GLOBALS = [
    argparse.Namespace,
    # A config beside the weights of Swin, SimMIM and GFM becomes plain data.
    (OrderedDict, 'yacs.config.CfgNode'),
    (_statistic, 'builtins.getattr'),
    HistoryBuffer, bytes, slice, np.ndarray, np.dtype, *numpy_makers(),
    *(type(np.dtype(kind)) for kind in ('float64', 'float32', 'int64', 'int32', 'uint32', 'uint8', 'bool')),
]


def _open_mmlab_models() -> dict[str, str]:
    models = get_external_models()
    return models | {old: models[new] for old, new in get_deprecated_model_names().items() if new in models}


# Schemes that stand for tables of addresses.
TABLES = {
    'torchvision': get_torchvision_models, 'open-mmlab': _open_mmlab_models, 'openmmlab': _open_mmlab_models,
    'mmcls': get_mmcls_models,
}


def read_checkpoint(filename: str, map_location: Any = 'cpu', mmap: bool = False) -> dict:
    """Read a file of PyTorch as weights only, or a file of safetensors; which it is, its content says.

    Args:
        filename: Path; or address: ``http(s)://``, ``torchvision://``, ``open-mmlab://``, ``mmcls://``, or what
            MMEngine's file backends open.
        map_location: As :func:`torch.load` takes it; default the CPU.
        mmap: Whether tensors stay on the disk until they are used; the file must not be changed meanwhile. Takes
            effect where the file's format and ``map_location='cpu'`` allow it.

    Returns:
        The file's content, with the weights under ``state_dict``, wherever the file has them: there, under ``model``
        (MAE and others) or ``teacher``, or bare. The config of old checkpoints is left out, which MMEngine would run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no checkpoint, is damaged, or would run code when loaded; or the address is unknown.
    """
    address = _address(filename)
    if address.startswith(('http://', 'https://')):
        file = _download(address)
    else:
        file = _fetch(address) if '://' in address else _existing(address)
    content = _read(file, filename, map_location, mmap)
    if not isinstance(content, dict):
        raise ValueError(f'Checkpoint {filename} holds a {type(content).__name__}, expected a dict of tensors.')
    key = next((key for key in KEYS if isinstance(content.get(key), dict)), None)
    if key is None:
        content = {'state_dict': {name: value for name, value in content.items() if isinstance(value, Tensor)},
                   **{name: value for name, value in content.items() if not isinstance(value, Tensor)}}
    else:
        content['state_dict'] = content.pop(key)
    if isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    return content


def _address(filename: str) -> str:
    """Replace a name in a table of models by its address."""
    scheme, separator, name = filename.partition('://')
    if not separator or scheme not in TABLES:
        return filename
    models = TABLES[scheme]()
    if name not in models:
        close = difflib.get_close_matches(name, models) or sorted(models)[:3]
        raise ValueError(f'Checkpoint {filename}: {scheme} has no model {name!r}; it has {", ".join(close)} and '
                         'others.')
    return models[name]


def _existing(filename: str) -> Path:
    path = Path(filename).expanduser()
    if not path.is_file():
        what = 'a directory' if path.is_dir() else 'not a file'
        raise FileNotFoundError(f'Checkpoint {filename} is {what}; check the path (init_cfg.checkpoint or load_from of '
                                'the config, or the command line).')
    return path


def _download(address: str) -> Path:
    """The file of an address in the cache of torch.hub, which the first process fills."""
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(address).path).name)
    if get_rank() == 0 and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), progress=False)
    barrier()
    return path


def _fetch(address: str) -> BytesIO:
    """What a file backend of MMEngine holds."""
    try:
        return BytesIO(get(address))
    except KeyError as error:
        raise ValueError(f'Checkpoint {address}: MMEngine has no file backend for {error}; give a path.') from error


def _read(file: Path | BytesIO, filename: str, map_location: Any, mmap: bool = False) -> Any:
    with file.open('rb') if isinstance(file, Path) else BytesIO(file.getvalue()) as stream:
        head = stream.read(9)
        if not head:
            raise ValueError(f'Checkpoint {filename} is empty; get it anew.')
        # A file of safetensors begins with the length of its header, which is JSON.
        if head[8:] == b'{':
            return _read_safetensors(file, stream, filename, map_location)
    # From 2.14 on torch goes by the suffix of a path, and an open file has none; but only a path can be mapped.
    mapped = mmap and map_location == 'cpu' and isinstance(file, Path) and file.suffix != '.safetensors'
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS), contextlib.ExitStack() as stack:
            if mapped and zipfile.is_zipfile(file):
                return torch.load(file, map_location=map_location, weights_only=True, mmap=True)
            stream = stack.enter_context(file.open('rb')) if isinstance(file, Path) else file
            return torch.load(stream, map_location=map_location, weights_only=True)
    except Exception as error:
        # The reader raises a dozen unrelated types on damaged files (IndexError, struct.error, AssertionError, ...).
        raise _unreadable(filename, head, error) from error


def _read_safetensors(file: Path | BytesIO, stream: BinaryIO, filename: str, map_location: Any) -> dict[str, Any]:
    try:
        device = str(map_location or 'cpu')
        weights = load_file(file, device=device) if isinstance(file, Path) else load(file.getvalue())
    except SafetensorError as error:
        raise ValueError(f'Checkpoint {filename} is damaged or no safetensors file ({error}).') from error
    stream.seek(0)
    header = json.loads(stream.read(int.from_bytes(stream.read(8), 'little')))
    return {'state_dict': weights, 'meta': header.get('__metadata__', {})}


def _unreadable(filename: str, head: bytes, error: Exception) -> ValueError:
    forbidden = re.search(r'GLOBAL (.+?) (?:was not an allowed global|whose module)', str(error))
    if isinstance(error, UnpicklingError) and forbidden:
        return ValueError(f'Checkpoint {filename} is refused: it holds more than weights ({forbidden[1]}), and loading '
                          'it could run code. Ask its author for a file of tensors, e.g. .safetensors.')
    # As pickles of protocol 3 and above begin, which torch.save never writes.
    if head[:2] in (b'\x80\x03', b'\x80\x04', b'\x80\x05'):
        return ValueError(f'Checkpoint {filename} is refused: it is a Python pickle and no file of torch.save, and '
                          'loading it could run code. Ask its author for a file of tensors, e.g. .safetensors.')
    reason = str(error).split('WeightsUnpickler error:')[-1].strip().split('\n')[0]
    return ValueError(f'Checkpoint {filename} is damaged or no PyTorch file ({type(error).__name__}: {reason}); '
                      'get it anew.')

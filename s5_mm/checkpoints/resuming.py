"""Which checkpoint a training is resumed from."""
import logging
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from .reading import read_checkpoint

POINTER = 'last_checkpoint'
NAME = re.compile(r'(?:iter|epoch)_(\d+)\.pth')
LONGEST_POINTER = 4096  # bytes


def newest_checkpoint(work_dir: str | os.PathLike) -> str | None:
    """The newest checkpoint of a training that can be read; those that cannot are named in the log.

    That is the file of ``last_checkpoint``, unless one of a later iteration was written after it. If that file is
    missing, empty or leads nowhere, because it was cut short or the folder was moved, the files ``iter_N.pth`` and
    ``epoch_N.pth`` of the folder count.

    Args:
        work_dir: The folder.

    Returns:
        The path, or an address if checkpoints are elsewhere; ``None`` if there is none.

    Raises:
        ValueError: There are some, and none can be read.
    """
    folder, skipped = Path(work_dir), []
    pointer = _pointer(folder)
    if '://' in pointer:
        return pointer
    for path in _candidates(folder, pointer):
        reason = _why_unusable(path)
        if reason is None:
            return str(path)
        print_log(f'{path} is skipped: {reason}', 'current', logging.WARNING)
        skipped.append(path.name)
    if skipped:
        raise ValueError(f'None of the checkpoints in {folder} can be read ({", ".join(skipped)}); move them away to '
                         'start anew.')
    return None


def require_training_state(checkpoint: Mapping[str, Any], filename: str) -> None:
    """Check that a file is of a training, not of weights alone.

    Args:
        checkpoint: Its content.
        filename: What messages call it.

    Raises:
        ValueError: It lacks what a training needs to go on.
    """
    meta = checkpoint.get('meta')
    known = isinstance(meta, dict) and all(isinstance(meta.get(key), int) for key in ('epoch', 'iter'))
    if not known or not isinstance(checkpoint.get('message_hub'), dict):
        raise ValueError(f'{filename} holds weights without the state of a training, which cannot be resumed from it; '
                         'start from it with load_from instead.')


def _candidates(folder: Path, pointer: str) -> Iterator[Path]:
    """Checkpoints, the newest first."""
    pointed = _pointed(folder, pointer)
    places = dict.fromkeys([folder] if pointed is None else [folder, pointed.parent])
    files = {path: path.stat().st_mtime_ns for place in places if place.is_dir() for path in place.iterdir()
             if NAME.fullmatch(path.name) and path.is_file()}
    newest_first = sorted(files, key=lambda path: (files[path], _number(path)), reverse=True)
    if pointed is not None:
        # Work dirs that are used again may hold later iterations of an earlier run, and copies have any time.
        later = [path for path in newest_first if files[path] > pointed.stat().st_mtime_ns
                 and _number(path) > _number(pointed)]
        newest_first = [*later, pointed, *newest_first]
    yield from dict.fromkeys(newest_first)


def _number(path: Path) -> int:
    match = NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _pointer(folder: Path) -> str:
    """What ``last_checkpoint`` says, as far as it is there."""
    path = folder / POINTER
    if not path.is_file():
        return ''
    with path.open('rb') as file:
        return file.read(LONGEST_POINTER).decode(errors='replace').replace('\0', '').strip()


def _pointed(folder: Path, pointer: str) -> Path | None:
    """The file that the pointer names, if it exists."""
    named = Path(pointer)
    # The one in this folder first: in a copied work dir the pointer names the file of the original.
    return next((path for path in (folder / named.name, named) if named.name and _is_file(path)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _why_unusable(path: Path) -> str | None:
    """Why training cannot go on from a file, or ``None``."""
    try:
        checkpoint = read_checkpoint(str(path), mmap=True)
        require_training_state(checkpoint, str(path))
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()  # torch does not compare the checksums
            return damaged and f'its part {damaged} is damaged'
    except Exception as error:  # damaged archives raise exceptions of many types
        return f'{type(error).__name__}: {error}'
    return None

"""Files that are complete or absent, folders without end, and settings that must not change under a result."""
import contextlib
import functools
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

TEMPORARY = re.compile(r'.+\.\d+-[0-9a-f]{6}\.part', re.DOTALL)
"""Names that :func:`replacing` gives."""


@contextlib.contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """Write a file under a temporary name and rename it, so that a file that exists is complete.

    Args:
        path: The file; its folder is made if it is missing.
        durable: Whether the file must also survive a crash of the machine. This waits for the disk.

    Yields:
        A free path in the same folder, ``NAME.PROCESS-RANDOM.part``. What the block writes there takes the place of
        ``path`` when the block ends without an error, and is removed otherwise. Writers must have closed the file by
        then.

    Raises:
        OSError: The file cannot be written; the error names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes of several machines may write to one folder and have the same number.
    temporary = path.with_name(f'{path.name}.{os.getpid()}-{secrets.token_hex(3)}.part')
    try:
        yield temporary
        if durable:
            _flush(temporary)
        os.replace(temporary, path)
        if durable:
            _flush(path.parent)
    except OSError as error:
        # The operating system's errors name the file where it is opened, and none where it is written.
        if isinstance(error.errno, int) and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def walk(root: str | os.PathLike, left_out: str | os.PathLike | None = None) -> Iterator[tuple[str, list[str]]]:
    """Folders below a root and itself. Links to folders are followed; a folder with several names counts once.

    Links that lead back to a folder above them, or that multiply, therefore end.

    Args:
        root: The folder.
        left_out: A folder that is not searched.

    Yields:
        A folder, under the first of its names in alphabetical order, and the sorted names of the files in it.
    """
    seen = set() if left_out is None else {os.path.realpath(left_out)}
    for current, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(current)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        # Independently of the file system's order.
        subfolders.sort()
        yield current, sorted(names)


def once_listed() -> Callable[[str], bool]:
    """A function that tells whether a path exists, by one listing of each folder instead of a check of each file."""

    @functools.cache
    def names(folder: str) -> frozenset[str]:
        return frozenset(os.listdir(folder)) if os.path.isdir(folder) else frozenset()

    return lambda path: os.path.basename(path) in names(os.path.dirname(path) or '.')


def remove_parts(folder: Path) -> int:
    """Remove the temporary files of :func:`replacing` that killed processes left in a folder and below it.

    Args:
        folder: A folder that no other process writes into, see :func:`s5_mm.locks.locked`. It may be missing.

    Returns:
        Number of files that were removed.
    """
    parts = [Path(place, name) for place, _, names in os.walk(folder) for name in names if TEMPORARY.fullmatch(name)]
    for part in parts:
        part.unlink(missing_ok=True)
    return len(parts)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes with :func:`replacing`.

    Args:
        path: The file.
        content: Its bytes.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write text as UTF-8 with :func:`replacing`.

    Args:
        path: The file.
        content: Its text; line ends are kept as they are.
    """
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON with :func:`replacing`.

    Args:
        path: The file.
        content: What JSON can hold.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + '\n')


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Args:
        path: The file.

    Raises:
        ValueError: It holds something else, or is damaged; the error names it.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is damaged ({error}); move it away or choose another folder') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path} holds {type(content).__name__}, not an object; move it away or choose another folder')
    return content


def keep_settings(path: Path, settings: Mapping[str, Any], result: Path | None = None) -> None:
    """Store the settings of a result, or check that they are those with which it was begun.

    Args:
        path: JSON file beside the result.
        settings: Everything that decides what the result is.
        result: The result, for the message; default the folder of ``path``.

    Raises:
        ValueError: The result was begun with other settings, or the file is something else.
    """
    settings = json.loads(json.dumps(settings))
    if not path.exists():
        write_json(path, settings)
        return
    stored = read_json(path)
    changed = [f'{key}: {stored.get(key)!r} there, {settings.get(key)!r} now'
               for key in sorted(stored.keys() | settings.keys()) if stored.get(key) != settings.get(key)]
    if changed:
        raise ValueError(f'{result or path.parent} was made with other settings ({"; ".join(changed)}); repeat these '
                         'settings to resume it, choose another folder, or delete it')


def sha256_of(path: Path) -> str:
    """Checksum of a file, as 64 hexadecimal digits.

    Args:
        path: The file.
    """
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()

"""Files that are complete or absent, and settings that must not change under a result."""
import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TEMPORARY = re.compile(r'.+\.\d+-[0-9a-f]{6}\.part', re.DOTALL)
"""Names that :func:`replacing` gives."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name and rename it, so that a file that exists is complete.

    Args:
        path: The file; its folder is made if it is missing.

    Yields:
        A free path in the same folder, ``NAME.PROCESS-RANDOM.part``. What the block writes there takes the place of
        ``path`` when the block ends without an error, and is removed otherwise. Writers must have closed the file by
        then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes of several machines may write to one folder and have the same number.
    temporary = path.with_name(f'{path.name}.{os.getpid()}-{secrets.token_hex(3)}.part')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def keep_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Store the settings of a result, or check that they are those with which it was begun.

    Args:
        path: JSON file beside the result.
        settings: Everything that decides what the result is.

    Raises:
        ValueError: The result was begun with other settings.
    """
    settings = json.loads(json.dumps(settings))
    if not path.exists():
        write_json(path, settings)
        return
    stored = json.loads(path.read_text())
    changed = [f'{key}: {stored.get(key)!r} there, {settings.get(key)!r} now'
               for key in sorted(stored.keys() | settings.keys()) if stored.get(key) != settings.get(key)]
    if changed:
        raise ValueError(f'{path.parent} was made with other settings ({"; ".join(changed)}); repeat these settings to '
                         'resume it, choose another folder, or delete it')


def sha256_of(path: Path) -> str:
    """Checksum of a file, as 64 hexadecimal digits.

    Args:
        path: The file.
    """
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()

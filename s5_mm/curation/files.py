"""Whole files or none, and settings that must not change under a result."""
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes) -> None:
    """Write under a temporary name and rename, so that a file that exists is complete.

    Args:
        path: File to write; its folder is made.
        content: Its bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    part.write_bytes(content)
    os.replace(part, path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with :func:`write_bytes`.

    Args:
        path: File to write.
        content: What JSON can hold.
    """
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + '\n').encode())


def keep_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Store the settings of a result, or make sure that this run has the same as the one that began it.

    Args:
        path: JSON file beside the result.
        settings: What decides what comes out.

    Raises:
        ValueError: The result was begun with other settings.
    """
    settings = json.loads(json.dumps(settings))
    if path.exists():
        stored = json.loads(path.read_text())
        changed = [f'{key}: {stored.get(key)!r} there, {settings.get(key)!r} now'
                   for key in sorted(stored.keys() | settings.keys()) if stored.get(key) != settings.get(key)]
        if changed:
            raise ValueError(f'{path.parent} was made with other settings ({"; ".join(changed)}); repeat these to go '
                             'on with it, choose another folder, or delete it')
        return
    write_json(path, settings)


def sha256_of(path: Path) -> str:
    """Checksum of a file, as 64 hexadecimal digits.

    Args:
        path: File to read.
    """
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()

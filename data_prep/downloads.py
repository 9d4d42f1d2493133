"""Reading of a download, folders or zip archives, without unpacking; its content is validated."""
import contextlib
import functools
import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image

LARGEST_MEMBER = 1 << 30  # bytes that are read at once; the largest such official file has 144 million
LARGEST_COPY = 16 << 30  # bytes of a file in an archive; images of DOTA have up to 2.4 billion before compression


class PreparationError(ValueError):
    """An error that the user can correct; its text is shown without a traceback."""


@dataclass(frozen=True)
class File:
    """A file of a download: on disk, or a member of a zip archive."""

    path: Path
    member: str = ''

    def __str__(self) -> str:
        return f'{self.path}:{self.member}' if self.member else str(self.path)

    @property
    def name(self) -> str:
        """File name with suffix."""
        return PurePosixPath(self.member).name if self.member else self.path.name

    def read(self) -> bytes:
        """The whole content.

        Raises:
            PreparationError: The file or its archive is damaged or missing.
        """
        return b''.join(self._pieces(LARGEST_MEMBER))

    def copy(self, path: Path) -> None:
        """Write the content to ``path`` in pieces; raises the errors of :meth:`read`."""
        with path.open('wb') as copy:
            copy.writelines(self._pieces(LARGEST_COPY, 1 << 20))

    def _pieces(self, largest: int, size: int = -1) -> Iterator[bytes]:
        """The content in pieces of ``size`` bytes; -1: in one."""
        try:
            with self._open(largest) as content:
                while piece := content.read(size):
                    yield piece
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError,
                KeyError) as error:
            raise PreparationError(f'cannot read {self}: {error}; fetch it again') from error

    def _open(self, largest: int) -> BinaryIO:
        if not self.member:
            return self.path.open('rb')
        archive = _archive(self.path, self.path.stat().st_mtime_ns, os.getpid())
        if archive.getinfo(self.member).file_size > largest:
            raise PreparationError(f'{self} claims more than {largest:,} bytes; this is not an official file')
        return archive.open(self.member)


@functools.lru_cache(maxsize=8)
def _archive(path: Path, _changed: int, _process: int) -> zipfile.ZipFile:
    """An open archive. Each process has its own, since forked processes would share the position in the file."""
    return zipfile.ZipFile(path)


def list_files(root: Path) -> list[tuple[str, File]]:
    """List a download, folders and zip archives alike.

    Args:
        root: The download's folder.

    Returns:
        For each file its path below ``root``, with ``/`` between the parts, and the file. In paths, an archive is a
        folder with the name of the archive without suffix. Files on disk come first, then those in archives, both
        sorted.

    Raises:
        PreparationError: The folder does not exist, or an archive is damaged.
    """
    if not root.is_dir():
        raise PreparationError(f'the source folder {root} does not exist')
    from s5_mm.files import walk  # takes seconds to import, which --help should not

    plain = sorted(Path(folder, name) for folder, names in walk(root) for name in names)
    members = []
    for path in plain:
        if path.suffix.lower() == '.zip':
            place = path.relative_to(root).with_suffix('').as_posix()
            members += [(f'{place}/{name}', File(path, name)) for name in _members(path)]
    return [(path.relative_to(root).as_posix(), File(path)) for path in plain] + members


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except (OSError, zipfile.BadZipFile) as error:
        raise PreparationError(f'cannot read the archive {path}: {error}; fetch it again') from error


def first_matches(files: Sequence[tuple[str, File]], pattern: str) -> dict[tuple[str, ...], File]:
    """The first file for each combination of the groups of ``pattern``, which is searched in the paths."""
    found: dict[tuple[str, ...], File] = {}
    for where, file in files:
        if match := re.search(pattern, where):
            found.setdefault(match.groups(), file)
    return found


def decode_color(file: File) -> np.ndarray:
    """Decode an image: (H, W, 3) uint8, red, green, blue.

    Raises:
        PreparationError: The file is damaged.
    """
    return np.asarray(_decode(file, 'RGB'))


def decode_ids(file: File) -> np.ndarray:
    """Decode a mask of one channel: (H, W) integers as stored.

    Raises:
        PreparationError: The file is damaged or has other channels.
    """
    ids = np.asarray(_decode(file))
    if ids.ndim != 2 or ids.dtype.kind not in 'ui':
        raise PreparationError(f'{file} is not a mask of one integer channel: {ids.shape}, {ids.dtype}')
    return ids


def _decode(file: File, mode: str | None = None) -> Image.Image:
    with open_image(file) as image:
        return image.convert(mode) if mode else image.copy()


@contextlib.contextmanager
def open_image(file: File) -> Iterator[Image.Image]:
    """Open an image, see :func:`s5_mm.images.open_image`; it is decoded in the block.

    Raises:
        PreparationError: The file is damaged or claims too many pixels.
    """
    from s5_mm import images  # takes seconds to import, which --help should not

    try:
        with images.open_image(io.BytesIO(file.read()) if file.member else file.path, str(file)) as image:
            yield image
    except images.ImageReadError as error:
        raise PreparationError(str(error)) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise PreparationError(f'cannot read {file}: {error}; fetch it again') from error

"""The way in which images are opened: no file decides how much memory it takes.

A file of a few hundred kilobytes can claim billions of pixels. Before an image is decoded, the size in its header is
compared with one limit, which the environment variable :data:`SETTING` changes; it reaches every command, transform and
worker process, and Pillow itself.
"""
import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

SETTING = 'S5_MM_MAX_PIXELS'
DEFAULT = 1 << 28
"""Pixels of a square of 16,384; decoded to 8-bit color they take 0.8 GB."""
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF 6.0, section 15


class ImageReadError(OSError):
    """An image that cannot be read or decoded to 8-bit color.

    Args:
        path (str): The image file.
        reason (str): What is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f'cannot read image {self.path}: {self.reason}'


def max_pixels() -> int:
    """Pixels that may be in memory at once of one image.

    Raises:
        ValueError: The setting is no positive integer.
    """
    text = os.environ.get(SETTING, str(DEFAULT))
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f'{SETTING} is {text!r}; it is the number of pixels that an image may have, at least 1.')
    return int(text)


def why_too_large(sizes: Iterable[tuple[int, int]]) -> str | None:
    """Why an image is not decoded, for a message; ``None`` if it may be.

    Args:
        sizes: (height, width) in pixels of what will be in memory at once: the image, a tile of the file.
    """
    limit = max_pixels()
    for height, width in sizes:
        if height * width > limit:
            return (f'it claims {width} x {height} pixels, more than the {limit:,} allowed in memory at once; if the '
                    f'file can be trusted, set {SETTING}={height * width} in the environment')
    return None


def require_sides(path: str, image: np.ndarray) -> None:
    """Refuse an image that is one pixel wide or high, which is no picture and which transforms of hosts break on.

    Args:
        path: The file, for the message.
        image: (H, W, ...).

    Raises:
        ImageReadError: A side has less than 2 pixels.
    """
    height, width = image.shape[:2]
    if min(height, width) < 2:
        raise ImageReadError(path, f'it is {width} x {height} pixels; both sides must have at least 2')


@contextlib.contextmanager
def open_image(file: str | os.PathLike | BinaryIO, name: str) -> Iterator[Image.Image]:
    """Open an image by Pillow, which reads its header alone.

    Args:
        file: A path, or the content.
        name: What messages call it.

    Yields:
        The image; it is closed with the block.

    Raises:
        ImageReadError: It claims too many pixels. Pillow raises exceptions of other types for damaged files.
    """
    # Pillow has one limit for the process, and no argument for it.
    Image.MAX_IMAGE_PIXELS = max_pixels()
    try:
        image = Image.open(file)
    except Image.DecompressionBombError as error:
        raise ImageReadError(name, f'it claims more than twice the {max_pixels():,} pixels allowed in memory at once; '
                             f'if the file can be trusted, raise {SETTING} in the environment') from error
    with image:
        tags = getattr(image, 'tag_v2', {})
        tile = tags.get(TILE_LENGTH, 0), tags.get(TILE_WIDTH, 0)
        reason = why_too_large([image.size[::-1], tile])
        if reason:
            raise ImageReadError(name, reason)
        yield image

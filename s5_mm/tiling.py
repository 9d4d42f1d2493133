"""Windows over an image: where they start, and how the last one of a line meets the image's edge."""
from collections.abc import Iterator
from typing import NamedTuple

EDGES = ('shift', 'drop', 'repeat')


class Window(NamedTuple):
    """A rectangle of an image, in pixels.

    Attributes:
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.
    """

    top: int
    left: int
    height: int
    width: int


def window_starts(length: int, size: int, stride: int, edge: str = 'shift') -> list[int]:
    """First pixels of the windows along one side of an image.

    Args:
        length: Pixels of the image.
        size: Pixels of a window.
        stride: Pixels from one window to the next, at least 1.
        edge: What happens at the end of the side. ``'shift'``: a window that would not end with the image is moved
            inside. ``'drop'``: the rest, which is smaller than a window, is left out. ``'repeat'``: windows start as
            long as the start is not beyond the image's end, and each of them is moved inside, so that the last start
            may occur several times (1024 px, windows of 512 px every 256 px: 0, 256, 512, 512, 512).

    Returns:
        Starts in ascending order; ``[0]`` where the image is not larger than a window, with ``'repeat'`` one or more
        times.

    Raises:
        ValueError: The edge policy is unknown.
    """
    last = max(length - size, 0)
    if edge == 'shift':
        return [*range(0, last, stride), last]
    if edge == 'drop':
        return list(range(0, last + 1, stride))
    if edge == 'repeat':
        return [min(start, last) for start in range(0, length + 1, stride)]
    raise ValueError(f'edge is {edge!r}; choose from {", ".join(EDGES)}.')


def windows(image_size: tuple[int, int], size: int, stride: int, edge: str = 'shift') -> Iterator[Window]:
    """Square windows over an image, line by line.

    Args:
        image_size: Height and width of the image.
        size: Side of a window; windows are smaller where the image is.
        stride: Pixels from one window to the next, at least 1.
        edge: See :func:`window_starts`.

    Yields:
        The windows, each inside the image.
    """
    height, width = image_size
    for top in window_starts(height, size, stride, edge):
        for left in window_starts(width, size, stride, edge):
            yield Window(top, left, min(size, height), min(size, width))

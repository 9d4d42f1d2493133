"""Division of a scene into blocks for training and for validation, so that no patches of the two overlap."""
import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from s5_mm.tiling import Window, windows

TRAIN, VAL = 'train', 'val'


class Block(NamedTuple):
    """A part of a scene.

    Attributes:
        window: Where it is.
        split: ``'train'`` or ``'val'``.
    """

    window: Window
    split: str


def blocks(size: tuple[int, int], side: int, share: float, seed: int, name: str,
           labeled: Callable[[Window], bool] = lambda window: True) -> list[Block]:
    """Divide a scene; the choice depends on the seed, the scene's name and the labels alone.

    Args:
        size: Height and width of the scene in pixels.
        side: Of a block in pixels; the last of a line is up to twice as large.
        share: Of the labeled blocks for validation, rounded. A scene of two or more blocks has at least one of each
            kind, a scene of one block is for validation with this probability. With 0 there is no validation.
        seed: Of the choice.
        name: Of the scene.
        labeled: Whether a part of the scene has labels; blocks without any are left out.
    """
    parts = [_parts(length, side) for length in size]
    places = [Window(top, left, height, width) for top, height in parts[0] for left, width in parts[1]]
    places = [place for place in places if labeled(place)]
    rng = np.random.default_rng([seed, *hashlib.sha256(name.encode()).digest()[:8]])
    number = len(places)
    if share == 0:
        held = 0
    elif number == 1:
        held = int(rng.random() < share)
    else:
        held = min(max(round(share * number), 1), number - 1)
    chosen = {*rng.permutation(number)[:held].tolist()}
    return [Block(place, VAL if index in chosen else TRAIN) for index, place in enumerate(places)]


def _parts(length: int, side: int) -> list[tuple[int, int]]:
    """Starts and lengths; the last part takes the rest."""
    number = max(1, length // side)
    return [(index * side, side if index < number - 1 else length - index * side) for index in range(number)]


def windows_in(block: Window, size: int, stride: int, edge: str) -> Iterator[Window]:
    """Windows inside a block, see :func:`s5_mm.tiling.windows`."""
    for window in windows((block.height, block.width), size, stride, edge):
        yield window._replace(top=window.top + block.top, left=window.left + block.left)

"""Overlapping windows over a scene and the weight of each of their pixels."""
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from s5_mm.tiling import window_starts


def hann(size: int, overlap: int) -> np.ndarray:
    """Weights along a side of a window that fall smoothly to 0 over the overlap, by half of a Hann window.

    Args:
        size: Pixels of the window.
        overlap: Pixels that neighboring windows share.

    Returns:
        (size, ), above 0, 1 in the middle. With an overlap of half the window it is the Hann window.
    """
    ramp = min(overlap, size // 2)
    weights = np.ones(size)
    weights[:ramp] = np.sin(np.pi / 2 * (np.arange(ramp) + 0.5) / max(ramp, 1))**2
    return np.minimum(weights, weights[::-1])


def center(size: int, overlap: int) -> np.ndarray:
    """Weights that only tell which window's center is nearer, see :data:`BLENDS`."""
    position = np.arange(size) + 0.5
    return np.minimum(position, size - position)


BLENDS = dict(hann=hann, center=center)
"""Name -> weights along a side. With ``'center'`` a pixel is that of the window whose center is nearest."""


@dataclass(frozen=True)
class Grid:
    """Square windows over a scene, in lines from top to bottom.

    The weight of a window's pixel is the product of its row's and its column's. At each pixel of the scene, the weights
    of all windows sum to 1.

    Attributes:
        size: Height and width of the scene in pixels.
        side: Of a window, in pixels. Where the scene is smaller, windows reach beyond it.
        overlap: Pixels that neighboring windows share; the last window of a line is moved inside and shares more.
        blend: See :data:`BLENDS`.
        tops: First row of each line of windows.
        lefts: First column of each window of a line.
        row_weights: (lines, side), float32.
        column_weights: (windows of a line, side), float32.
    """

    size: tuple[int, int]
    side: int
    overlap: int
    blend: str = 'hann'
    tops: list[int] = field(init=False)
    lefts: list[int] = field(init=False)
    row_weights: np.ndarray = field(init=False, repr=False, compare=False)
    column_weights: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Place the windows.

        Raises:
            ValueError: The overlap or the blend is impossible.
        """
        if not 0 <= self.overlap < self.side:
            raise ValueError(f'overlap is {self.overlap} and the window {self.side} px; 0 <= overlap < window is '
                             'needed.')
        if self.blend not in BLENDS:
            raise ValueError(f'blend is {self.blend!r}; choose from {", ".join(BLENDS)}.')
        for length, starts, weights in zip(self.size, ('tops', 'lefts'), ('row_weights', 'column_weights'),
                                           strict=True):
            placed = window_starts(length, self.side, self.side - self.overlap)
            object.__setattr__(self, starts, placed)
            object.__setattr__(self, weights, self._weights(placed))

    def _weights(self, starts: Sequence[int]) -> np.ndarray:
        profile = BLENDS[self.blend](self.side, self.overlap)
        total, largest = np.zeros(starts[-1] + self.side), np.zeros(starts[-1] + self.side)
        owner = np.zeros(len(total), int)
        for index, start in enumerate(starts):
            place = slice(start, start + self.side)
            owner[place][profile > largest[place]] = index
            np.maximum(largest[place], profile, out=largest[place])
            total[place] += profile
        shares = [owner[start:start + self.side] == index if self.blend == 'center' else
                  profile / total[start:start + self.side] for index, start in enumerate(starts)]
        return np.stack(shares).astype(np.float32)

    def finished_rows(self, line: int) -> int:
        """Rows from the top of a line that no later line reaches."""
        return self.tops[line + 1] - self.tops[line] if line + 1 < len(self.tops) else self.side

    def finished_columns(self, window: int) -> int:
        """Columns from the left of a window that no later window of the line reaches."""
        return self.lefts[window + 1] - self.lefts[window] if window + 1 < len(self.lefts) else self.side

    def first_touching(self, line: int) -> int:
        """The first line that reaches rows of a line."""
        return next(i for i, top in enumerate(self.tops) if top + self.side > self.tops[line])

    def panels(self, columns: int) -> list['Panel']:
        """The scene divided into panels from left to right, which can be predicted one after the other.

        Args:
            columns: About the width of a panel in pixels; it has at least eight windows.
        """
        number = max(8, columns // (self.side - self.overlap))
        return [Panel(self, range(first, min(first + number, len(self.lefts))))
                for first in range(0, len(self.lefts), number)]


@dataclass(frozen=True)
class Panel:
    """Columns of a scene and the windows that they need.

    Attributes:
        grid: All windows.
        own: Indices of the windows of a line whose finished columns make up the panel.
        windows: Indices of the windows that reach the panel: ``own`` and some on the left of it.
        left: First column that they reach.
        width: Columns that they reach.
        columns: Columns of the panel, counted from ``left``.
    """

    grid: Grid
    own: range
    windows: range = field(init=False)
    left: int = field(init=False)
    width: int = field(init=False)
    columns: slice = field(init=False)

    def __post_init__(self) -> None:
        """Find the windows."""
        lefts, side = self.grid.lefts, self.grid.side
        start = lefts[self.own[0]]
        first = next(index for index, left in enumerate(lefts) if left + side > start)
        last = self.own[-1]
        object.__setattr__(self, 'windows', range(first, last + 1))
        object.__setattr__(self, 'left', lefts[first])
        object.__setattr__(self, 'width', lefts[last] + side - lefts[first])
        object.__setattr__(self, 'columns', slice(
            start - lefts[first], lefts[last] + self.grid.finished_columns(last) - lefts[first]))

    def place(self, window: int) -> slice:
        """Columns of a window, counted from ``left``."""
        start = self.grid.lefts[window] - self.left
        return slice(start, start + self.grid.side)

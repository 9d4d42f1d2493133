"""Polygons in meters: (N, 2) float arrays of x (right) and y (down)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rect:
    """An upright rectangle in meters, the unit in which land is parcelled out."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Extent along x."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Extent along y."""
        return self.y1 - self.y0

    @property
    def center(self) -> tuple[float, float]:
        """Middle (x, y)."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def long_side(self) -> float:
        """The larger extent."""
        return max(self.width, self.height)

    @property
    def short_side(self) -> float:
        """The smaller extent."""
        return min(self.width, self.height)

    @property
    def angle(self) -> float:
        """Direction of the long side in radians."""
        return 0.0 if self.width >= self.height else np.pi / 2

    @property
    def points(self) -> np.ndarray:
        """The four corners (4, 2)."""
        return np.array([(self.x0, self.y0), (self.x1, self.y0), (self.x1, self.y1), (self.x0, self.y1)])

    def inset(self, margin: float) -> 'Rect':
        """The rectangle without a margin on each side; never smaller than a point."""
        dx, dy = min(margin, self.width / 2), min(margin, self.height / 2)
        return Rect(self.x0 + dx, self.y0 + dy, self.x1 - dx, self.y1 - dy)

    def split(self, along_x: bool, at: float, gap: float = 0.0) -> tuple['Rect', 'Rect']:
        """Cuts at a coordinate and leaves a gap (a road, say) of that width between the halves."""
        low, high = at - gap / 2, at + gap / 2
        if along_x:
            return Rect(self.x0, self.y0, low, self.y1), Rect(high, self.y0, self.x1, self.y1)
        return Rect(self.x0, self.y0, self.x1, low), Rect(self.x0, high, self.x1, self.y1)

    def cells(self, size_x: float, size_y: float) -> list['Rect']:
        """A regular grid of cells of about the given size."""
        nx, ny = max(1, round(self.width / size_x)), max(1, round(self.height / size_y))
        xs, ys = np.linspace(self.x0, self.x1, nx + 1), np.linspace(self.y0, self.y1, ny + 1)
        return [Rect(xs[i], ys[j], xs[i + 1], ys[j + 1]) for j in range(ny) for i in range(nx)]


def box(length: float, width: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """A rectangle around (x, y), ``length`` along x."""
    return np.array([(-length, -width), (length, -width), (length, width), (-length, width)]) / 2 + (x, y)


def ellipse(rx: float, ry: float | None = None, x: float = 0.0, y: float = 0.0, n: int = 28) -> np.ndarray:
    """An ellipse around (x, y); a circle where ``ry`` is left out."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([x + rx * np.cos(t), y + (rx if ry is None else ry) * np.sin(t)], 1)


def stadium(length: float, width: float, n: int = 12) -> np.ndarray:
    """A rectangle with half circles at both ends, ``length`` over all along x."""
    r, straight = width / 2, max(length - width, 0.0) / 2
    t = np.linspace(-np.pi / 2, np.pi / 2, n)
    right = np.stack([straight + r * np.cos(t), r * np.sin(t)], 1)
    return np.concatenate([right, -right])


def sector(radius: float, half_angle: float, n: int = 12) -> np.ndarray:
    """A slice of a disc with its tip at the origin, opening around the x axis."""
    t = np.linspace(-half_angle, half_angle, n)
    return np.concatenate([[(0.0, 0.0)], np.stack([radius * np.cos(t), radius * np.sin(t)], 1)])


def blob(rng: np.random.Generator, radius: float, wobble: float = 0.2, n: int = 10) -> np.ndarray:
    """An irregular round outline such as a tree crown or a pond."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    r = radius * (1 + wobble * rng.uniform(-1, 1, n))
    return np.stack([r * np.cos(t), r * np.sin(t)], 1)


def place(points: np.ndarray, x: float, y: float, angle: float = 0.0) -> np.ndarray:
    """Rotates by ``angle`` radians around the origin, then moves by (x, y)."""
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([(c, s), (-s, c)]) + (x, y)


def ragged_edge(rng: np.random.Generator, start: float, end: float, at: float, amplitude: float) -> np.ndarray:
    """A line along y from ``start`` to ``end`` near x = ``at`` that wanders by ``amplitude``, as natural shores do."""
    n = max(3, int(abs(end - start) / 8))
    drift = np.convolve(rng.normal(size=n + 4), np.ones(5) / 2.2, 'valid') * amplitude
    return np.stack([at + drift, np.linspace(start, end, n)], 1)

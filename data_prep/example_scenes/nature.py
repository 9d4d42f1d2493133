"""Vegetation, water and open ground."""

import numpy as np

from .geometry import Rect, blob, box, ellipse, place
from .scene import SceneBuilder


def tree(b: SceneBuilder, x: float, y: float, radius: float) -> None:
    """A crown with a lit and a dark side; it hides what stands below."""
    tint = b.tint()
    crown = blob(b.rng, radius, 0.22)
    b.ground(crown + (x, y), 'tree', 'tree', tint, height=1.6 * radius, shade=0.92)
    b.ground(blob(b.rng, 0.62 * radius, 0.3, 8) + (x - 0.12 * radius, y - 0.12 * radius), 'tree', tint=tint, shade=1.16)


def bush(b: SceneBuilder, x: float, y: float) -> None:
    """A low shrub."""
    b.ground(blob(b.rng, b.uniform(0.6, 1.4), 0.3, 7) + (x, y), 'tree', 'low_vegetation', shade=1.1, height=0.8)


def scatter_trees(b: SceneBuilder, rect: Rect, per_hectare: float, radius: tuple[float, float] = (2.0, 4.5)) -> None:
    """Trees at random places of a rectangle."""
    for _ in range(b.rng.poisson(rect.width * rect.height / 1e4 * per_hectare)):
        tree(b, b.uniform(rect.x0, rect.x1), b.uniform(rect.y0, rect.y1), b.uniform(*radius))


def tree_row(b: SceneBuilder, start: tuple[float, float], end: tuple[float, float], spacing: float = 9.0) -> None:
    """Trees along a line, a few missing, none where something is reserved."""
    count = max(2, int(np.hypot(end[0] - start[0], end[1] - start[1]) / spacing))
    for x, y in np.linspace(start, end, count):
        if b.chance(0.75) and b.is_free(x, y):
            tree(b, x + b.uniform(-0.8, 0.8), y + b.uniform(-0.8, 0.8), b.uniform(1.8, 3.6))


def pond(b: SceneBuilder, x: float, y: float, radius: float) -> None:
    """Still water; round ones resemble a tank or a pool."""
    shape = ellipse(radius) if b.chance(0.4) else blob(b.rng, radius, 0.25, 14)
    b.ground(shape * 1.15 + (x, y), 'soil')
    b.ground(shape + (x, y), 'water', 'water')


def meadow(b: SceneBuilder, rect: Rect) -> None:
    """Rough grass with patches, shrubs and a few trees."""
    b.ground(rect.points, 'grass', 'low_vegetation')
    for _ in range(b.rng.integers(2, 6)):
        patch = blob(b.rng, b.uniform(3, 0.3 * rect.short_side + 3.1), 0.4)
        b.ground(patch + (b.uniform(rect.x0, rect.x1), b.uniform(rect.y0, rect.y1)), 'grass')
    for _ in range(b.rng.integers(0, 8)):
        bush(b, b.uniform(rect.x0, rect.x1), b.uniform(rect.y0, rect.y1))
    scatter_trees(b, rect.inset(3), b.uniform(0, 18))


def park(b: SceneBuilder, rect: Rect) -> None:
    """Lawn with paths, trees and sometimes a pond or a fountain."""
    b.ground(rect.points, 'grass', 'low_vegetation')
    (cx, cy), lane = rect.center, b.uniform(1.8, 3.0)
    path = np.array(
        [
            (rect.x0, b.uniform(rect.y0, rect.y1)),
            (cx + b.uniform(-6, 6), cy + b.uniform(-6, 6)),
            (rect.x1, b.uniform(rect.y0, rect.y1)),
        ]
    )
    b.line(path, 'gravel', lane, b.tint())
    b.line([(cx, rect.y0), path[1], (cx, rect.y1)], 'gravel', lane, b.tint())
    if b.chance(0.5) and rect.short_side > 24:
        pond(b, cx + b.uniform(-5, 5), cy + b.uniform(-5, 5), b.uniform(4, 0.22 * rect.short_side))
    scatter_trees(b, rect.inset(2), b.uniform(30, 80))


def forest(b: SceneBuilder, rect: Rect) -> None:
    """Closed crowns on dark ground."""
    b.ground(rect.points, 'tree', 'tree', shade=0.8)
    scatter_trees(b, rect, 130, (2.5, 5.5))


def crops(b: SceneBuilder, rect: Rect) -> None:
    """Strips of different crops with rows, sometimes as neat as a playing field, sometimes round."""
    b.ground(rect.points, 'grass', 'low_vegetation')
    if b.chance(0.18):
        b.ground(
            ellipse(0.46 * rect.short_side) + rect.center, 'crop', 'cropland', rows=(b.uniform(0, 3.1), b.uniform(3, 6))
        )
        return
    along_x = b.chance(0.5)
    for cell in rect.cells(*((rect.width, b.uniform(14, 40)) if along_x else (b.uniform(14, 40), rect.height))):
        direction = (0.0 if along_x else np.pi / 2) if b.chance(0.7) else b.uniform(0, 3.1)
        b.ground(cell.inset(b.uniform(0.2, 1.2)).points, 'crop', 'cropland', rows=(direction, b.uniform(1.6, 5.0)))
    if b.chance(0.4):
        tree_row(b, (rect.x0, rect.y0), (rect.x1, rect.y0), 7)


def orchard(b: SceneBuilder, rect: Rect) -> None:
    """Small trees on a grid over grass or soil."""
    b.ground(rect.points, 'soil' if b.chance(0.5) else 'grass', 'cropland')
    for cell in rect.inset(3).cells(7.5, 7.5):
        if b.chance(0.9):
            tree(b, *cell.center, b.uniform(1.6, 2.4))


def bare_ground(b: SceneBuilder, rect: Rect) -> None:
    """Soil with tracks and heaps, as on a building site."""
    b.ground(rect.points, 'soil', 'bare_land')
    for _ in range(b.rng.integers(2, 7)):
        x, y = b.uniform(rect.x0, rect.x1), b.uniform(rect.y0, rect.y1)
        if b.chance(0.5):
            b.ground(
                blob(b.rng, b.uniform(2, 6), 0.3) + (x, y),
                ('soil', 'gravel', 'sand')[b.rng.integers(3)],
                height=b.uniform(0, 2),
            )
        else:
            b.ground(
                place(box(b.uniform(2, 7), b.uniform(1, 3)), x, y, b.uniform(0, 3.1)), 'clutter', 'clutter', height=1.0
            )
    for _ in range(2):
        ends = np.stack([b.rng.uniform(rect.x0, rect.x1, 3), b.rng.uniform(rect.y0, rect.y1, 3)], 1)
        b.line(ends, 'soil', b.uniform(0.8, 2.5), b.tint())

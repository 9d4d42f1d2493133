"""Parcels of sport and leisure. Each function fills one rectangle of land."""

from collections.abc import Callable

import numpy as np

from . import sports, structures
from .buildings import flat_block
from .geometry import Rect, box, place
from .nature import meadow, park, scatter_trees, tree_row
from .scene import Model, SceneBuilder


def _court_grid(
    b: SceneBuilder, rect: Rect, make: Callable[[np.random.Generator], Model], cell: tuple[float, float]
) -> None:
    """Courts side by side on one hard surface; now and then an empty surface in the same colors."""
    b.ground(rect.points, 'grass', 'low_vegetation')
    area = rect.inset(2)
    turned = area.height > area.width
    cells = area.cells(*(cell[::-1] if turned else cell))
    surround, tint = ('court', 'asphalt', 'court_edge')[b.rng.integers(3)], b.tint()
    tint_of_courts = b.tint()
    for lot in cells:
        if lot.short_side < min(cell) * 0.8 or lot.long_side < max(cell) * 0.8:
            continue
        b.ground(lot.points, surround, 'pavement', tint)
        if b.chance(0.88):
            court = make(b.rng)
            court.tint = tint_of_courts
            b.add(court, *lot.center, np.pi / 2 if turned else 0.0)
        else:
            b.ground(lot.inset(3).points, 'court', tint=tint_of_courts)
    scatter_trees(b, rect, 8)


def tennis(b: SceneBuilder, rect: Rect) -> None:
    """A tennis club."""
    _court_grid(b, rect, sports.tennis_court, (31, 16.5))


def basketball(b: SceneBuilder, rect: Rect) -> None:
    """Basketball courts, as at a school."""
    _court_grid(b, rect, sports.basketball_court, (32, 19))


def baseball(b: SceneBuilder, rect: Rect) -> None:
    """One or, on a large parcel, several diamonds, each in a corner of its cell."""
    b.ground(rect.points, 'grass', 'low_vegetation')
    size = b.uniform(38, 62)
    for cell in rect.cells(size, size):
        radius = 0.88 * cell.short_side
        corner = b.rng.integers(4)
        sx, sy = ((1, 1), (-1, 1), (-1, -1), (1, -1))[corner]
        (cx, cy), reach = cell.center, 0.43 * cell.short_side
        b.add(sports.baseball_diamond(b.rng, radius), cx - sx * reach, cy - sy * reach, np.arctan2(sy, sx))
    scatter_trees(b, rect, 6)


def soccer(b: SceneBuilder, rect: Rect) -> None:
    """Marked pitches, next to plain lawns of the same size."""
    b.ground(rect.points, 'grass', 'low_vegetation')
    for cell in rect.cells(b.uniform(48, 90), b.uniform(40, 60)):
        length, width = cell.inset(3).long_side, cell.inset(3).short_side
        if width < 18:
            continue
        width = min(width, 0.75 * length)
        if b.chance(0.85):
            b.add(sports.soccer_field(b.rng, length, width), *cell.center, cell.angle)
        else:
            b.ground(place(box(length, width), *cell.center, cell.angle), 'turf', rows=(cell.angle, 8.0))
    if b.chance(0.5):
        tree_row(b, (rect.x0, rect.y0 + 1), (rect.x1, rect.y0 + 1), 8)


def track(b: SceneBuilder, rect: Rect) -> None:
    """A running track, mostly with a pitch inside, and a stand."""
    b.ground(rect.points, 'grass', 'low_vegetation')
    lot = rect.inset(3)
    length = lot.long_side
    width = min(lot.short_side, b.uniform(0.5, 0.65) * length)
    if width < 22:
        meadow(b, rect)
        return
    b.add(sports.ground_track_field(b.rng, length, width), *lot.center, lot.angle)
    inside, breadth = 0.96 * (length - width), 0.64 * width
    if b.chance(0.75) and inside > 14:
        b.add(sports.soccer_field(b.rng, inside, breadth), *lot.center, lot.angle)
    spare = lot.short_side / 2 - width / 2
    if spare > 5:
        u, v = place(np.array([(0.0, -width / 2 - 0.5 * spare - 0.5)]), *lot.center, lot.angle)[0]
        stand = place(box(0.4 * length, min(spare - 1, 8)), u, v, lot.angle)
        b.ground(stand, 'flat_roof', 'building', height=7)


def pool_club(b: SceneBuilder, rect: Rect) -> None:
    """A public bath or hotel: several pools on a deck, sun shades, a building."""
    b.ground(rect.points, 'grass', 'low_vegetation')
    deck = rect.inset(0.12 * rect.short_side)
    b.ground(deck.points, 'concrete', 'pavement')
    for cell in deck.cells(24, 18):
        if b.chance(0.25):
            flat_block(b, cell.inset(2), b.uniform(4, 12))
            continue
        length = b.uniform(0.5, 0.85) * cell.long_side
        pool = structures.swimming_pool(b.rng, length, min(b.uniform(0.4, 0.8) * cell.short_side, 0.7 * length))
        b.add(pool, *cell.center, cell.angle)
        for _ in range(b.rng.integers(0, 6)):
            x, y = b.uniform(cell.x0, cell.x1), cell.y0 + b.uniform(0, 1.5)
            b.ground(box(2, 2, x, y), 'clutter', 'clutter', height=1.5)
    scatter_trees(b, rect, 25, (1.5, 3))


def playground(b: SceneBuilder, rect: Rect) -> None:
    """A park with bright rectangles that are no courts."""
    park(b, rect)
    for _ in range(b.rng.integers(1, 4)):
        x, y = b.uniform(rect.x0 + 5, rect.x1 - 5), b.uniform(rect.y0 + 5, rect.y1 - 5)
        b.ground(place(box(b.uniform(6, 18), b.uniform(5, 12)), x, y, b.uniform(0, 3.1)), 'court', 'pavement')

"""Parcels of housing, trade and industry. Each function fills one rectangle of land."""

import numpy as np

from . import structures, vehicles
from .buildings import flat_block, hall, pitched_house
from .geometry import Rect, blob, box, ellipse, place
from .nature import bush, scatter_trees, tree
from .scene import SceneBuilder


def park_vehicles(b: SceneBuilder, rect: Rect, share: float, trucks: bool = False) -> None:
    """Rows of marked stalls filled by ``share``, nose in; lanes of asphalt between the rows."""
    depth, stall = (17.0, 4.2) if trucks else (5.4, 2.7)
    row = rect.y0 + depth / 2 + 0.3
    make = vehicles.large_vehicle if trucks else vehicles.small_vehicle
    while row + depth / 2 < rect.y1:
        for x in np.arange(rect.x0 + stall / 2, rect.x1 - stall / 2, stall):
            b.line([(x - stall / 2, row - depth / 2), (x - stall / 2, row + depth / 2)], 'marking', 0.15)
            if b.chance(share):
                turn = np.pi / 2 * (1 if b.chance(0.5) else -1)
                b.add(make(b.rng), x + b.uniform(-0.2, 0.2), row + b.uniform(-0.4, 0.4), turn + b.uniform(-0.04, 0.04))
        row += depth + (0.2 if b.chance(0.5) and not trucks else 7.0)


def parking(b: SceneBuilder, rect: Rect) -> None:
    """A car park with planted islands."""
    b.ground(rect.points, 'asphalt', 'pavement')
    inner = rect.inset(2)
    park_vehicles(b, inner, b.uniform(0.25, 0.9))
    for _ in range(b.rng.integers(0, 4)):
        x, y = b.uniform(inner.x0, inner.x1), b.uniform(inner.y0, inner.y1)
        b.ground(box(2, 5, x, y), 'grass', 'low_vegetation')
        tree(b, x, y, b.uniform(1.5, 2.6))


def garden(b: SceneBuilder, rect: Rect, pool_share: float) -> None:
    """One house lot: house, drive with car, lawn, pool or a look-alike of one."""
    if rect.short_side < 10:
        b.ground(rect.points, 'grass', 'low_vegetation')
        return
    b.ground(rect.inset(0.3).points, 'grass', 'low_vegetation')
    (cx, cy), along = rect.center, rect.angle
    length, width = b.uniform(9, 15), b.uniform(7, 10)
    back, side = place(np.array([(b.uniform(0.1, 0.16), b.uniform(-0.1, 0.1))]), 0, 0, along)[0] * rect.long_side
    turn = along + (np.pi / 2 if b.chance(0.5) else 0)
    drive = place(box(0.5 * rect.long_side, 3.2, -0.25 * rect.long_side, -0.3 * rect.short_side), cx, cy, along)
    b.ground(drive, 'concrete', 'pavement')
    if b.chance(0.7):
        x, y = drive.mean(0)
        b.add(vehicles.small_vehicle(b.rng), x, y, along + b.uniform(-0.05, 0.05))
    yard = (cx + back * 2.3, cy + side * 2.3)
    if b.chance(pool_share):
        b.ground(place(box(13, 8.5), *yard, along), 'concrete', 'pavement')
        b.add(
            structures.swimming_pool(b.rng, b.uniform(7, 11), b.uniform(4, 6)),
            *yard,
            along + (np.pi / 2 if b.chance(0.2) else 0),
        )
    elif b.chance(0.4):
        cover = ellipse(b.uniform(1.5, 2.8)) if b.chance(0.5) else box(b.uniform(3, 6), b.uniform(2, 4))
        b.ground(cover + yard, ('clutter', 'soil', 'roof_detail')[b.rng.integers(3)], 'clutter', height=0.4)
    pitched_house(b, cx - back, cy - side, length, width, turn)
    for _ in range(b.rng.integers(0, 5)):
        x, y = b.uniform(rect.x0, rect.x1), b.uniform(rect.y0, rect.y1)
        if np.hypot(x - yard[0], y - yard[1]) > 6:
            tree(b, x, y, b.uniform(1.3, 3.4)) if b.chance(0.6) else bush(b, x, y)


def houses(b: SceneBuilder, rect: Rect) -> None:
    """Detached houses in lots; how many have a pool differs by neighborhood."""
    share = b.uniform(0.25, 0.9)
    cells = (
        rect.cells(b.uniform(18, 24), b.uniform(26, 34))
        if b.chance(0.5)
        else rect.cells(b.uniform(26, 34), b.uniform(18, 24))
    )
    for cell in cells:
        garden(b, cell, share)


def blocks(b: SceneBuilder, rect: Rect) -> None:
    """City blocks: flat roofs of different heights, yards, some with a pool, a court or a helipad."""
    b.ground(rect.points, 'concrete', 'pavement')
    for cell in rect.inset(1).cells(b.uniform(17, 30), b.uniform(17, 30)):
        lot = cell.inset(b.uniform(1, 3))
        if b.chance(0.15):
            parking(b, cell.inset(0.5))
        elif b.chance(0.12) and lot.short_side > 10:
            b.ground(lot.points, 'grass', 'low_vegetation')
            scatter_trees(b, lot.inset(2), 90, (1.5, 3.5))
        else:
            height = b.uniform(6, 26)
            flat_block(b, lot, height)
            if b.chance(0.2) and lot.short_side > 12:
                b.add(structures.swimming_pool(b.rng, b.uniform(7, 12), b.uniform(4, 5.5)), *lot.center, lot.angle)
            elif b.chance(0.15) and lot.short_side > 15:
                b.ground(ellipse(7) + lot.center, 'concrete')
                b.add(vehicles.helicopter(b.rng), *lot.center, b.uniform(0, 6.3))


def logistics(b: SceneBuilder, rect: Rect) -> None:
    """Halls with trucks at the docks and in rows."""
    b.ground(rect.points, 'concrete' if b.chance(0.5) else 'asphalt', 'pavement')
    inner = rect.inset(3)
    upper, lower = inner.split(
        inner.width < inner.height, (inner.center[0] if inner.width < inner.height else inner.center[1]), 20
    )
    hall(b, upper)
    edge = np.arange(-0.45, 0.45, 4.5 / upper.long_side) * upper.long_side
    side = upper.short_side / 2 + 8.5
    sign = 1 if upper.angle == 0 else -1
    for u in edge:
        if b.chance(0.55):
            x, y = place(np.array([(u, sign * side)]), *upper.center, upper.angle)[0]
            b.add(vehicles.large_vehicle(b.rng), x, y, upper.angle + np.pi / 2 * sign)
    if lower.short_side > 6:
        park_vehicles(b, lower, b.uniform(0.4, 0.8), trucks=b.chance(0.5))


def truck_stop(b: SceneBuilder, rect: Rect) -> None:
    """Only lorries and buses, in rows."""
    b.ground(rect.points, 'asphalt' if b.chance(0.7) else 'gravel', 'pavement')
    park_vehicles(b, rect.inset(2), b.uniform(0.4, 0.9), trucks=True)


def containers(b: SceneBuilder, rect: Rect) -> None:
    """Stacks of shipping containers, which resemble lorries, with a few real ones between."""
    b.ground(rect.points, 'concrete', 'pavement')
    inner = rect.inset(3)
    for y in np.arange(inner.y0 + 4, inner.y1 - 4, 15.0):
        for x in np.arange(inner.x0 + 6, inner.x1 - 6, 12.6):
            if b.chance(0.25):
                continue
            for k in range(b.rng.integers(1, 5)):
                b.ground(box(12.0, 2.4, x, y + 2.5 * k), 'container', 'clutter', height=2.6 * b.rng.integers(1, 4))
        for x in np.arange(inner.x0 + 8, inner.x1 - 8, 22.0):
            if b.chance(0.3):
                b.add(vehicles.large_vehicle(b.rng), x, y - 2.6, 0.0)


def tanks(b: SceneBuilder, rect: Rect) -> None:
    """Tanks of one size on a grid inside a bund, with pipes; square basins and domes as look-alikes."""
    b.ground(rect.points, ('gravel', 'concrete', 'soil', 'grass')[b.rng.integers(4)], 'bare_land')
    radius = b.uniform(5, min(15.0, max(5.5, 0.3 * rect.short_side)))
    pitch = radius * b.uniform(2.4, 3.1)
    cells = rect.inset(2).cells(pitch, pitch)
    for cell in cells:
        (x, y), r = cell.center, min(radius * b.uniform(0.85, 1.05), 0.45 * cell.short_side)
        b.line(cell.inset(0.5).points[[0, 1, 2, 3, 0]], 'gravel', 0.8, b.tint())
        if b.chance(0.85):
            b.add(structures.storage_tank(b.rng, r), x, y)
        elif b.chance(0.5):
            b.ground(blob(b.rng, r, 0.03, 20) + (x, y), 'water', 'water')
        else:
            flat_block(b, cell.inset(0.3 * cell.short_side), 5)
    for at in (rect.inset(2).y0, rect.center[1]):
        b.line([(rect.x0, at), (rect.x1, at)], 'roof_detail', 1.0)


def farmyard(b: SceneBuilder, rect: Rect) -> None:
    """Barns, small silos (buildings, not tanks) and machines on bare ground."""
    b.ground(rect.points, 'soil' if b.chance(0.6) else 'gravel', 'bare_land')
    for cell in rect.inset(3).cells(24, 22):
        lot = cell.inset(b.uniform(2, 5))
        if b.chance(0.5):
            hall(b, lot, 6)
        elif b.chance(0.5):
            for k in range(b.rng.integers(2, 5)):
                b.ground(ellipse(2.4, x=lot.x0 + 3 + 5.2 * k, y=lot.center[1], n=16), 'roof', 'building', height=8)
        else:
            b.add(
                vehicles.large_vehicle(b.rng) if b.chance(0.5) else vehicles.small_vehicle(b.rng),
                *lot.center,
                b.uniform(0, 6.3),
            )
    scatter_trees(b, rect, 12)

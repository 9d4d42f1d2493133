"""Parcels of airports and heliports. Each function fills one rectangle of land."""

import numpy as np

from . import vehicles
from .buildings import hall
from .geometry import Rect, box, ellipse, place
from .scene import SceneBuilder


def apron(b: SceneBuilder, rect: Rect) -> None:
    """Airliners or light aircraft parked in a row on concrete, with service vehicles and yellow lines."""
    b.ground(rect.points, 'concrete', 'pavement')
    large = b.chance(0.6) and rect.short_side > 34
    span = b.uniform(26, 40) if large else b.uniform(11, 17)
    for x in np.arange(rect.x0, rect.x1, 7.5):
        b.line([(x, rect.y0), (x, rect.y1)], 'concrete', 0.2, 0.1)
    facing = b.uniform(-0.5, 0.5) + (np.pi / 2 if b.chance(0.5) else -np.pi / 2)
    for cell in rect.inset(1).cells(1.25 * span, 1.35 * span):
        x, y = cell.center
        b.line([(x, cell.y0), (x, cell.y1)], 'marking_yellow', 0.35)
        if b.chance(0.85):
            b.add(vehicles.plane(b.rng, span * b.uniform(0.8, 1.05)), x, y, facing)
        for _ in range(b.rng.integers(0, 3)):
            make = vehicles.large_vehicle if b.chance(0.4) else vehicles.small_vehicle
            b.add_free(make(b.rng), x + 0.5 * span, y + b.uniform(-0.4, 0.4) * span, b.uniform(0, 6.3), 5)


def runway(b: SceneBuilder, rect: Rect) -> None:
    """A piece of runway or taxiway in grass with its markings."""
    b.ground(rect.points, 'grass', 'low_vegetation')
    (cx, cy), along = rect.center, rect.angle
    width = min(0.5 * rect.short_side, b.uniform(18, 40))
    b.ground(place(box(rect.long_side, width), cx, cy, along), 'asphalt', 'road')
    for u in np.arange(-0.48, 0.48, 24 / rect.long_side) * rect.long_side:
        b.ground(place(box(12, 0.9, u), cx, cy, along), 'marking')
    for y in (-0.46, 0.46):
        b.line(
            place(np.array([(-0.5 * rect.long_side, y * width), (0.5 * rect.long_side, y * width)]), cx, cy, along),
            'marking',
            0.6,
        )
    if b.chance(0.5):
        b.add(vehicles.plane(b.rng, b.uniform(14, 32)), cx + b.uniform(-5, 5), cy, along)


def helipads(b: SceneBuilder, rect: Rect) -> None:
    """Helicopters on pads in rows, a hangar beside them."""
    b.ground(rect.points, 'asphalt' if b.chance(0.5) else 'concrete', 'pavement')
    facing = b.uniform(0, 6.3)
    for cell in rect.inset(1).cells(21, 21):
        x, y = cell.center
        if b.chance(0.15):
            hall(b, cell.inset(2), 6)
            continue
        pad = ellipse(8.5) if b.chance(0.5) else box(15, 15)
        b.ground(pad + (x, y), 'concrete', 'pavement')
        b.line(np.concatenate([pad, pad[:1]]) * 0.9 + (x, y), 'marking_yellow' if b.chance(0.5) else 'marking', 0.4)
        if b.chance(0.85):
            b.add(vehicles.helicopter(b.rng), x, y, facing + b.uniform(-0.4, 0.4))

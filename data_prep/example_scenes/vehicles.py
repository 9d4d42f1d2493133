"""Objects that move: road vehicles, ships and aircraft, in their own coordinates (meters, x forward)."""

import numpy as np

from .geometry import box, ellipse, place
from .scene import Model, Part


def small_vehicle(rng: np.random.Generator) -> Model:
    """A car, van-sized at most; some are pick-ups."""
    length, width = rng.uniform(4.0, 5.6), rng.uniform(1.8, 2.2)
    body = box(length, width)
    tint = rng.random()
    parts = [
        Part(box(0.16 * length, 0.8 * width, 0.14 * length), 'glass'),
        Part(box(0.1 * length, 0.75 * width, -0.34 * length), 'glass'),
    ]
    if rng.random() < 0.15:
        parts = [
            Part(box(0.4 * length, 0.8 * width, -0.25 * length), 'dark'),
            Part(box(0.1 * length, 0.8 * width, 0.2 * length), 'glass'),
        ]
    return Model('small_vehicle', [body], 'vehicle', tint, 1.5, parts)


def large_vehicle(rng: np.random.Generator) -> Model:
    """A lorry, an articulated lorry or a bus."""
    kind = rng.integers(3)
    length = (rng.uniform(7, 9.5), rng.uniform(12, 17), rng.uniform(10, 13))[kind]
    width = rng.uniform(2.5, 3.0)
    if kind == 2:  # bus
        vents = [Part(box(1.2, 1.2, x), 'roof_detail', rng.random()) for x in np.linspace(-0.3, 0.3, 3) * length]
        return Model('large_vehicle', [box(length, width)], 'truck', rng.random(), 3.2, vents)
    cab = rng.uniform(1.8, 2.6)
    cargo = length - cab - 0.7
    parts = [
        Part(box(cargo, width, -length / 2 + cargo / 2), 'truck', rng.random()),
        Part(box(0.7, width, length / 2 - cab - 0.35), 'dark'),
        Part(box(0.5, 0.85 * width, length / 2 - 0.6), 'glass'),
    ]
    return Model('large_vehicle', [box(length, width)], 'vehicle', rng.random(), 3.5, parts)


def ship(rng: np.random.Generator, length: float) -> Model:
    """A hull with a pointed bow; deck and load depend on the size."""
    width = length * rng.uniform(0.2, 0.32) if length < 25 else length * rng.uniform(0.15, 0.22)
    bow = rng.uniform(0.15, 0.38)
    x = np.array([-0.5, -0.47, 0.5 - bow, 0.5 - bow * 0.4, 0.5, 0.5 - bow * 0.4, 0.5 - bow, -0.47, -0.5]) * length
    y = np.array([-0.35, -0.5, -0.5, -0.3, 0.0, 0.3, 0.5, 0.5, 0.35]) * width
    hull = np.stack([x, y], 1)
    parts = [Part(hull * (0.92, 0.72), 'deck', rng.random())]
    if length < 25:
        parts += [
            Part(box(0.3 * length, 0.5 * width, rng.uniform(-0.15, 0.05) * length), 'ship', rng.random()),
            Part(box(0.06 * length, 0.5 * width, 0.08 * length), 'glass'),
        ]
    else:
        parts.append(Part(box(0.14 * length, 0.8 * width, -0.36 * length), 'ship', 0.05))
        if rng.random() < 0.6:
            for u in np.arange(-0.24, 0.5 - bow, 0.13):
                parts.append(Part(box(0.11 * length, 0.66 * width, u * length), 'container', rng.random()))
        else:
            parts.append(Part(box(0.55 * length, 0.12 * width, 0.0), 'roof_detail', 0.4))
    return Model('ship', [hull], 'ship', rng.random(), 2.0 if length < 25 else 7.0, parts)


def plane(rng: np.random.Generator, span: float) -> Model:
    """Fuselage, swept or straight wings and tail; engines where it is large."""
    length, body = span * rng.uniform(0.85, 1.1), span * rng.uniform(0.085, 0.12)
    sweep = rng.uniform(0.12, 0.32) * span if span > 18 else 0.03 * span
    chord, tip = 0.22 * span, 0.08 * span
    front = 0.12 * length
    wing = np.array(
        [
            (front, 0),
            (front - sweep, span / 2),
            (front - sweep - tip, span / 2),
            (front - chord, 0.08 * span),
            (front - chord, -0.08 * span),
            (front - sweep - tip, -span / 2),
            (front - sweep, -span / 2),
        ]
    )
    back = -0.37 * length
    tail = np.array(
        [
            (back, 0),
            (back - 0.1 * length, 0.19 * span),
            (back - 0.13 * length, 0.19 * span),
            (back - 0.1 * length, 0),
            (back - 0.13 * length, -0.19 * span),
            (back - 0.1 * length, -0.19 * span),
        ]
    )
    nose = np.array(
        [
            (0.5, 0),
            (0.45, 0.38),
            (0.36, 0.5),
            (-0.3, 0.5),
            (-0.5, 0.1),
            (-0.5, -0.1),
            (-0.3, -0.5),
            (0.36, -0.5),
            (0.45, -0.38),
        ]
    )
    tint = rng.random()
    fuselage = nose * (length, body)
    parts = [
        Part(fuselage * (1, 0.5), 'plane', tint, 1.08),
        Part(box(0.03 * length, 0.5 * body, 0.44 * length), 'glass'),
        Part(box(0.16 * length, 0.025 * span, -0.43 * length), 'vehicle', rng.random()),
    ]
    if span > 18:
        parts += [
            Part(box(0.1 * span, 0.045 * span, front - 0.3 * sweep, y * span), 'roof_detail', 0.3)
            for y in (-0.17, 0.17)
        ]
    return Model('plane', [wing, tail, fuselage], 'plane', tint, 3.0, parts)


def helicopter(rng: np.random.Generator) -> Model:
    """Cabin, tail boom, fin and two to five blades, all part of the object."""
    length = rng.uniform(12, 18)
    cabin = ellipse(0.24 * length, 0.095 * length, 0.18 * length)
    boom = np.array([(0.05, 0.045), (-0.56, 0.022), (-0.56, -0.022), (0.05, -0.045)]) * length
    fin = box(0.07 * length, 0.24 * length, -0.5 * length)
    blades, count, turn = [], rng.integers(2, 6), rng.uniform(0, np.pi)
    for k in range(count):
        blade = np.array([(0, -0.017), (0.45, -0.017), (0.45, 0.017), (0, 0.017)]) * length
        blades.append(place(blade, 0.14 * length, 0, turn + 2 * np.pi * k / count))
    tint = rng.random()
    parts = [Part(blade, 'dark', 0.7) for blade in blades]
    parts += [
        Part(box(0.08 * length, 0.13 * length, 0.33 * length), 'glass'),
        Part(ellipse(0.03 * length, x=0.14 * length, n=8), 'dark'),
    ]
    return Model('helicopter', [*blades, boom, fin, cabin], 'helicopter', tint, 2.5, parts)

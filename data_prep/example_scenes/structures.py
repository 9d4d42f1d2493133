"""Built objects in their own coordinates (meters)."""

import numpy as np

from .geometry import blob, box, ellipse, place, stadium
from .scene import Model, Part


def storage_tank(rng: np.random.Generator, radius: float) -> Model:
    """A cylinder with a fixed or a sunken floating roof and a stair."""
    tint = rng.random()
    parts = [Part(ellipse(0.9 * radius), 'tank', tint, rng.uniform(0.82, 1.08))]
    if rng.random() < 0.5:
        parts.append(Part(ellipse(0.12 * radius, x=rng.uniform(-0.3, 0.3) * radius), 'roof_detail', rng.random()))
    if rng.random() < 0.35:
        parts = [
            Part(ellipse(0.86 * radius), 'dark', 0.6, 1.3),
            Part(ellipse(0.82 * radius, x=0.05 * radius), 'tank', tint, 0.75),
        ]
    angle = rng.uniform(0, 2 * np.pi)
    parts.append(Part(place(np.array([(0.1, 0), (1.0, 0)]), 0, 0, angle) * radius, 'roof_detail', 0.9, line=0.5))
    return Model('storage_tank', [ellipse(radius)], 'tank', tint, rng.uniform(0.4, 1.0) * min(radius, 12), parts)


def roundabout(rng: np.random.Generator, radius: float) -> Model:
    """The whole circle: ring road and island."""
    island = radius * rng.uniform(0.4, 0.62)
    parts = [Part(ellipse(island + 0.5), 'concrete', rng.random()), Part(ellipse(island), 'grass', rng.random())]
    if rng.random() < 0.5:
        parts.append(Part(ellipse(0.5 * island), ('clay', 'tree', 'concrete')[rng.integers(3)], rng.random()))
    ring = ellipse((radius + island) / 2)
    parts.append(Part(np.concatenate([ring, ring[:1]]), 'marking', 0.4, line=0.2))
    return Model('roundabout', [ellipse(radius, n=40)], 'asphalt', rng.random(), 0.0, parts)


def swimming_pool(rng: np.random.Generator, length: float, width: float) -> Model:
    """Water alone: rectangular, rounded, free or oval."""
    kind = rng.integers(4)
    outline = (
        box(length, width),
        stadium(length, width),
        blob(rng, 0.5, 0.18, 12) * (length, width),
        ellipse(length / 2, width / 2),
    )[kind]
    parts = [Part(outline * 0.75, 'pool', tint := rng.random(), 0.93)]
    if length > 20:
        parts += [
            Part(np.array([(-0.48 * length, y), (0.48 * length, y)]), 'dark', 0.5, line=0.2)
            for y in np.linspace(-0.3, 0.3, 4) * width
        ]
    return Model('swimming_pool', [outline], 'pool', tint, 0.0, parts)


def harbor(length: float, width: float, tint: float) -> Model:
    """A pier or quay along x."""
    edge = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]) * (length / 2 - 0.3, width / 2 - 0.3)
    return Model('harbor', [box(length, width)], 'pier', tint, 1.5, [Part(edge, 'roof_detail', tint, line=0.4)])


def bridge(rng: np.random.Generator, length: float, width: float) -> Model:
    """The deck with its kerbs along x."""
    parts = [Part(box(length, width - 2.0), 'asphalt', rng.random())]
    parts += [
        Part(np.array([(-length / 2, y), (length / 2, y)]), 'marking', 0.3, line=0.3)
        for y in (-width / 2 + 1.5, 0.0, width / 2 - 1.5)
    ]
    return Model('bridge', [box(length, width)], 'concrete', rng.random(), rng.uniform(4, 9), parts)

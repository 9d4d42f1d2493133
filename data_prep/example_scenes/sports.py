"""Courts and fields in their own coordinates (meters, long side along x)."""

import numpy as np

from .geometry import box, ellipse, place, sector, stadium
from .scene import Model, Part


def tennis_court(rng: np.random.Generator) -> Model:
    """Playing area 23.8 x 11 m; the surround belongs to the ground."""
    length, width = 23.8, 11.0
    white = [(1, 1), (-1, 1), (-1, -1), (1, -1), (1, 1)]
    lines = [
        np.array(white) * (length / 2 - 0.2, width / 2 - 0.2),
        np.array(white) * (length / 2 - 0.2, 4.1),
        np.array([(-6.4, 4.1), (-6.4, -4.1)]),
        np.array([(6.4, 4.1), (6.4, -4.1)]),
        np.array([(-6.4, 0), (6.4, 0)]),
    ]
    parts = [Part(line, 'marking', 0.8, line=0.25) for line in lines]
    parts.append(Part(np.array([(0, -6), (0, 6)]), 'dark', 0.5, line=0.3))
    return Model('tennis_court', [box(length, width)], 'court', rng.random(), 0.0, parts)


def basketball_court(rng: np.random.Generator) -> Model:
    """Playing area of 25-28 x 14-15 m with colored keys."""
    length, width = rng.uniform(25, 28), rng.uniform(14, 15)
    key = rng.random()
    parts = [Part(box(5.8, 4.9, side * (length / 2 - 2.9)), 'court', key) for side in (-1, 1)]
    ring = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1), (1, 1)]) * (length / 2 - 0.3, width / 2 - 0.3)
    arcs = [
        place(sector(6.7, 1.25)[1:], -(length / 2 - 1.2), 0),
        place(sector(6.7, 1.25)[1:], length / 2 - 1.2, 0, np.pi),
    ]
    circle = ellipse(1.8)
    lines = [ring, *arcs, np.concatenate([circle, circle[:1]]), np.array([(0, -width / 2), (0, width / 2)])]
    parts += [Part(line, 'marking', 0.8, line=0.25) for line in lines]
    return Model('basketball_court', [box(length, width)], 'court', rng.random(), 0.0, parts)


def baseball_diamond(rng: np.random.Generator, radius: float) -> Model:
    """Home plate at the origin, the quarter disc opens along x; the infield is clay with or without a lawn in it."""
    infield = 0.5 * radius
    parts = [Part(sector(infield * 1.05, 0.79), 'clay', clay := rng.random())]
    lawn = place(box(0.52 * infield, 0.52 * infield), 0.43 * infield, 0, np.pi / 4)
    if rng.random() < 0.7:
        parts.append(Part(lawn, 'turf', rng.random()))
    parts += [Part(ellipse(0.07 * radius), 'clay', clay), Part(ellipse(0.045 * radius, x=0.43 * infield), 'clay', clay)]
    parts += [
        Part(np.array([(0, 0), (0.98 * radius * np.cos(a), 0.98 * radius * np.sin(a))]), 'marking', 0.5, line=0.25)
        for a in (-0.785, 0.785)
    ]
    outline = sector(radius, 0.8)
    outline[0] = (-0.06 * radius, 0)
    return Model('baseball_diamond', [outline], 'turf', rng.random(), 0.0, parts, rows=(rng.uniform(0, np.pi), 6.0))


def soccer_field(rng: np.random.Generator, length: float, width: float) -> Model:
    """A mown pitch with its lines."""
    half, side = length / 2 - 0.8, width / 2 - 0.8
    frame = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1), (1, 1)])
    circle = ellipse(0.085 * length)
    lines = [frame * (half, side), np.array([(0, -side), (0, side)]), np.concatenate([circle, circle[:1]])]
    for end in (-1, 1):
        for depth, breadth in ((0.155, 0.6), (0.055, 0.28)):
            lines.append(frame * (depth * length / 2, breadth * side) + (end * (half - depth * length / 2), 0))
    parts = [Part(line, 'marking', 0.6, line=0.3) for line in lines]
    return Model('soccer_field', [box(length, width)], 'turf', rng.random(), 0.0, parts, rows=(0.0, rng.uniform(7, 12)))


def ground_track_field(rng: np.random.Generator, length: float, width: float) -> Model:
    """Running lanes around a lawn; the whole oval is the object."""
    lane = rng.uniform(0.09, 0.13) * width
    inner = stadium(length - 2 * lane, width - 2 * lane)
    parts = []
    for share in np.linspace(0, 1, 5)[1:-1]:
        ring = stadium(length - 2 * lane * share, width - 2 * lane * share)
        parts.append(Part(np.concatenate([ring, ring[:1]]), 'marking', 0.4, line=0.2))
    parts.append(Part(inner, 'turf', rng.random()))
    return Model('ground_track_field', [stadium(length, width)], 'track', rng.random(), 0.0, parts)

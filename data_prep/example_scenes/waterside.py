"""Coasts, harbors, rivers, and what lies on the water."""

import numpy as np

from . import structures, vehicles
from .geometry import Rect, blob, ragged_edge
from .nature import scatter_trees
from .roads import Road
from .scene import SceneBuilder


def sail(b: SceneBuilder, area: Rect, count: int, length: tuple[float, float]) -> None:
    """Ships under way with a wake, somewhere in open water; now and then a rock that is none."""
    for _ in range(count if area.x1 > area.x0 else 0):
        size = b.uniform(*length)
        x, y, angle = b.uniform(area.x0, area.x1), b.uniform(area.y0, area.y1), b.uniform(0, 6.3)
        if b.chance(0.12):
            b.ground(blob(b.rng, 0.2 * size, 0.4) + (x, y), 'gravel', 'bare_land', height=1.0)
            continue
        ahead = np.array([np.cos(angle), np.sin(angle)])
        if b.add_free(vehicles.ship(b.rng, size), x, y, angle, 0.55 * size) and b.chance(0.5):
            stern = np.array([x, y]) - 0.5 * size * ahead
            b.line([stern, stern - b.uniform(0.5, 1.5) * size * ahead], 'foam', 0.12 * size, b.tint())


def water_right_of(b: SceneBuilder, world: Rect, x: float, natural: bool) -> None:
    """Open water from a straight quay or a natural shore with a beach to the edge of the world."""
    if not natural:
        b.ground(Rect(x, world.y0, world.x1, world.y1).points, 'water', 'water')
        return
    shore = ragged_edge(b.rng, world.y0 - 5, world.y1 + 5, x, 4.0)
    far = np.array([(world.x1, world.y1), (world.x1, world.y0)])
    beach = b.uniform(3, 14)
    b.ground(np.concatenate([shore - (beach, 0), far]), 'sand', 'bare_land')
    water = b.tint()
    b.ground(np.concatenate([shore, far]), 'water', 'water', water)
    b.line(shore, 'foam', b.uniform(0.5, 1.6), b.tint())
    b.ground(np.concatenate([shore + (b.uniform(8, 16), 0), far]), 'water', tint=water, shade=0.93)


def port(b: SceneBuilder, world: Rect, x: float) -> None:
    """A quay along the shore, wide piers and large ships alongside."""
    tint = b.tint()
    water_right_of(b, world, x, natural=False)
    depth = b.uniform(9, 14)
    b.add(structures.harbor(world.height, depth, tint), x + depth / 2 - 1, world.center[1], np.pi / 2)
    length, width = b.uniform(45, 75), b.uniform(9, 16)
    gap = b.uniform(48, 66)
    for y in np.arange(world.y0 + b.uniform(5, 45), world.y1, gap):
        if not b.chance(0.8):
            continue
        b.add(structures.harbor(length, width, tint), x + depth + length / 2 - 1.5, y, 0.0)
        for _ in range(b.rng.integers(0, 4)):
            make = vehicles.large_vehicle if b.chance(0.5) else vehicles.small_vehicle
            b.add_free(make(b.rng), x + depth + b.uniform(0.1, 0.9) * length, y + b.uniform(-0.2, 0.2) * width, 0.0, 6)
        for side in (-1, 1):
            _moor(b, x + depth + 2, y + side * width / 2, side, length)
    sail(b, Rect(x + depth + length + 10, world.y0, world.x1, world.y1), b.rng.integers(0, 4), (15, 45))


def _moor(b: SceneBuilder, x: float, edge: float, side: int, length: float) -> None:
    """Ships along one side of a pier, one behind the other."""
    at = x + b.uniform(0, 6)
    while at < x + length - 14:
        size = b.uniform(12, min(58, x + length - at + 6))
        model = vehicles.ship(b.rng, size)
        half_width = np.ptp(model.outline[0][:, 1]) / 2
        if b.chance(0.75):
            b.add_free(
                model, at + size / 2, edge + side * (half_width + 0.6), 0.0 if b.chance(0.5) else np.pi, 0.42 * size
            )
        at += size + b.uniform(2, 8)


def marina(b: SceneBuilder, world: Rect, x: float) -> None:
    """Narrow jetties with small boats at right angles to them."""
    tint = b.tint()
    water_right_of(b, world, x, natural=b.chance(0.4))
    b.add(structures.harbor(world.height, 5.0, tint), x + 1, world.center[1], np.pi / 2)
    length, boat = b.uniform(35, 70), b.uniform(7, 13)
    for y in np.arange(world.y0 + 6, world.y1, 2 * boat + b.uniform(7, 13)):
        b.add(structures.harbor(length, b.uniform(2.2, 3.6), tint), x + 3 + length / 2, y, 0.0)
        share = b.uniform(0.35, 0.9)
        for side in (-1, 1):
            for u in np.arange(6, length - 2, 0.42 * boat):
                if b.chance(share):
                    size = boat * b.uniform(0.8, 1.1)
                    b.add(
                        vehicles.ship(b.rng, size),
                        x + 3 + u,
                        y + side * (size / 2 + 2),
                        np.pi / 2 * (side if b.chance(0.7) else -side),
                    )
    sail(b, Rect(x + length + 12, world.y0, world.x1, world.y1), b.rng.integers(1, 6), (7, 16))


def beach(b: SceneBuilder, world: Rect, x: float) -> None:
    """A natural shore; a single jetty and boats at anchor."""
    water_right_of(b, world, x, natural=True)
    if b.chance(0.5):
        b.add(
            structures.harbor(b.uniform(25, 45), b.uniform(3, 5), b.tint()),
            x + 15,
            world.center[1] + b.uniform(-25, 25),
            b.uniform(-0.2, 0.2),
        )
    sail(b, Rect(x + 15, world.y0, world.x1, world.y1), b.rng.integers(2, 8), (7, 30))


def river(b: SceneBuilder, world: Rect, left: float, right: float) -> None:
    """Water between two wandering banks with green or stone edges."""
    banks = [ragged_edge(b.rng, world.y0 - 5, world.y1 + 5, at, 1.6) for at in (left, right)]
    edge = np.concatenate([banks[0] - (3, 0), (banks[1] + (3, 0))[::-1]])
    b.ground(edge, ('grass', 'soil', 'gravel', 'sand')[b.rng.integers(4)], 'bare_land')
    b.ground(np.concatenate([banks[0], banks[1][::-1]]), 'water', 'water')
    for at in (left - 4, right + 4):
        scatter_trees(b, Rect(at - 2, world.y0, at + 2, world.y1), 120)
    if b.chance(0.6):
        _landing(b, (left, right)[b.rng.integers(2)], (left + right) / 2, b.uniform(-0.2, 0.2) * world.height)


def _landing(b: SceneBuilder, bank: float, middle: float, y: float) -> None:
    """A quay along a river bank with jetties and boats."""
    inward, tint = np.sign(middle - bank), b.tint()
    length, reach = b.uniform(24, 44), b.uniform(7, 11)
    b.add(structures.harbor(length, 5.0, tint), bank + 2 * inward, y, np.pi / 2)
    for u in np.linspace(-0.4, 0.4, b.rng.integers(2, 5)) * length:
        b.add(structures.harbor(reach, 2.4, tint), bank + inward * (4 + reach / 2), y + u, 0.0)
        if b.chance(0.7):
            b.add_free(
                vehicles.ship(b.rng, reach),
                bank + inward * (5.5 + reach / 2),
                y + u + 3,
                0.0 if b.chance(0.5) else np.pi,
                2.0,
            )


def bridges(b: SceneBuilder, crossings: list[Road], left: float, right: float) -> None:
    """One bridge for each road that meets the river, and ships between them."""
    for road in crossings:
        x, y = road.rect.center
        b.add(structures.bridge(b.rng, right - left + 10, road.rect.height + 1), x, y)
        sail(b, Rect(left + 6, y + 16, right - 6, y + 60), b.rng.integers(1, 4), (8, max(9.0, 0.5 * (right - left))))

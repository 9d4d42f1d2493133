"""Buildings: pitched and flat roofs with what stands on them."""

import numpy as np

from .geometry import Rect, box, ellipse, place
from .scene import SceneBuilder


def pitched_house(b: SceneBuilder, x: float, y: float, length: float, width: float, angle: float) -> None:
    """A ridge roof: one half lit, one in shade; sometimes with a wing."""
    tint, height = b.tint(), b.uniform(4, 8)
    if b.chance(0.35):
        wing = place(box(0.5 * width, 1.5 * width, 0.2 * length, 0.3 * width), x, y, angle)
        b.ground(wing, 'roof', 'building', tint, height=0.8 * height, shade=0.97)
    b.ground(place(box(length, width), x, y, angle), 'roof', 'building', tint, height=height)
    bright = 1.1 if np.cos(angle) > 0 else 0.84
    b.ground(place(box(length, width / 2, 0, -width / 4), x, y, angle), 'roof', tint=tint, shade=bright)
    b.line(place(np.array([(-length / 2, 0), (length / 2, 0)]), x, y, angle), 'roof', 0.25, tint)
    if b.chance(0.5):
        b.ground(place(box(1, 1, b.uniform(-0.3, 0.3) * length, 0.1 * width), x, y, angle), 'roof_detail')
    if b.chance(0.2):
        b.ground(place(box(0.4 * length, 0.3 * width, 0, -0.25 * width), x, y, angle), 'glass')


def flat_block(b: SceneBuilder, rect: Rect, height: float) -> None:
    """A flat roof with parapet, ventilation, skylights or round vents that look like small tanks."""
    tint = b.tint()
    b.ground(rect.points, 'roof', 'building', tint, height=height, shade=0.88)
    inner = rect.inset(0.7)
    b.ground(inner.points, 'flat_roof', tint=b.tint())
    for _ in range(b.rng.integers(1, 2 + int(rect.width * rect.height / 120))):
        x, y = b.uniform(inner.x0, inner.x1), b.uniform(inner.y0, inner.y1)
        size = b.uniform(0.8, 3.2)
        if not (inner.x0 + size < x < inner.x1 - size and inner.y0 + size < y < inner.y1 - size):
            continue
        part = ellipse(0.6 * size, n=14) if b.chance(0.2) else box(size, size * b.uniform(0.5, 1.5))
        b.ground(part + (x, y), 'roof_detail', height=0.0)


def hall(b: SceneBuilder, rect: Rect, height: float = 9.0) -> None:
    """A large hall with ribbed roof and skylight strips."""
    tint = b.tint()
    material = 'flat_roof' if b.chance(0.6) else 'roof'
    b.ground(rect.points, material, 'building', tint, height=height, rows=(rect.angle, b.uniform(2.5, 6)))
    (cx, cy), length = rect.center, rect.long_side
    if b.chance(0.5):
        half = place(box(length, rect.short_side / 2, 0, rect.short_side / 4), cx, cy, rect.angle)
        b.ground(half, material, tint=tint, shade=0.85)
    for u in np.linspace(-0.4, 0.4, b.rng.integers(2, 7)):
        b.ground(
            place(box(1.2, 0.55 * rect.short_side, u * length), cx, cy, rect.angle),
            'glass' if b.chance(0.5) else 'roof_detail',
            'building',
        )

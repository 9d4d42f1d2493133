"""From a theme to a scene: a layout of water, streets and parcels."""

from dataclasses import dataclass, field

import numpy as np

from . import nature, parcels_aviation, parcels_built, parcels_leisure, roads, waterside
from .classes import OBJECTS, check_names
from .geometry import Rect
from .scene import Scene, SceneBuilder
from .themes import THEME_NAMES, THEMES, Theme

PARCELS = {
    'meadow': nature.meadow,
    'park': nature.park,
    'forest': nature.forest,
    'crops': nature.crops,
    'orchard': nature.orchard,
    'bare_ground': nature.bare_ground,
    'houses': parcels_built.houses,
    'blocks': parcels_built.blocks,
    'parking': parcels_built.parking,
    'logistics': parcels_built.logistics,
    'truck_stop': parcels_built.truck_stop,
    'containers': parcels_built.containers,
    'tanks': parcels_built.tanks,
    'farmyard': parcels_built.farmyard,
    'apron': parcels_aviation.apron,
    'runway': parcels_aviation.runway,
    'helipads': parcels_aviation.helipads,
    'tennis': parcels_leisure.tennis,
    'basketball': parcels_leisure.basketball,
    'baseball': parcels_leisure.baseball,
    'soccer': parcels_leisure.soccer,
    'track': parcels_leisure.track,
    'pool_club': parcels_leisure.pool_club,
    'playground': parcels_leisure.playground,
}


SHORES = {'port': waterside.port, 'marina': waterside.marina, 'beach': waterside.beach}


def build_scene(rng: np.random.Generator, extent: float, theme: str, classes: tuple[str, ...] = OBJECTS) -> Scene:
    """Builds a scene around the origin.

    Args:
        rng: Source of all randomness.
        extent: Side of the square to be filled in meters; it covers any rotation of the view.
        theme: A key of ``THEMES``.
        classes: Object classes that may be placed.

    Returns:
        The scene in meters; the view is centered at the origin.

    Raises:
        ValueError: If the theme or a class is unknown.
    """
    check_names('theme', (theme,), THEME_NAMES)
    check_names('class', classes, OBJECTS)
    plan, b = THEMES[theme], SceneBuilder(rng, frozenset(classes))
    half = 0.75 * extent
    world = Rect(-half, -half, half, half)
    b.ground(world.points, 'grass', 'low_vegetation')
    site = _inland(b, world, plan) if plan.water is None else _waterside(b, world, plan)
    roads.draw_roads(b, site.streets)
    _fill(b, site.parcels, plan)
    if site.circle:
        roads.roundabout(b, *site.circle)
    if site.bridged:
        waterside.bridges(b, site.bridged, *site.river)
    roads.traffic(b, site.streets + site.bridged, plan.traffic)
    roads.street_trees(b, site.streets)
    return b.scene


@dataclass
class _Site:
    """Land to be filled: a roundabout is (x, y, radius), a river (left, right) with the roads across it."""

    parcels: list[Rect]
    streets: list[roads.Road]
    circle: tuple[float, float, float] | None = None
    river: tuple[float, float] | None = None
    bridged: list[roads.Road] = field(default_factory=list)


def _inland(b: SceneBuilder, world: Rect, plan: Theme) -> _Site:
    width = b.uniform(9, 15)
    if not b.chance(plan.roundabout):
        return _Site(*roads.parcel_out(b, world, plan.parcel, width))
    reach, radius = 0.2 * world.width, b.uniform(14, 24)
    x, y = b.uniform(-reach, reach), b.uniform(-reach, reach)
    quarters, streets = roads.crossing(world, x, y, width, 1.1 * radius if 'roundabout' in b.classes else 0.0)
    parcels = []
    for quarter in quarters:
        more_parcels, more_streets = roads.parcel_out(b, quarter, plan.parcel, 9.0)
        parcels += more_parcels
        streets += more_streets
    return _Site(parcels, streets, (x, y, radius) if 'roundabout' in b.classes else None)


def _waterside(b: SceneBuilder, world: Rect, plan: Theme) -> _Site:
    if plan.water == 'river':
        return _riverside(b, world, plan)
    shore = b.uniform(-0.12, 0.1) * world.width
    SHORES[plan.water](b, world, shore)
    land = Rect(world.x0, world.y0, shore - (16 if plan.water == 'beach' else 2), world.y1)
    return _Site(*roads.parcel_out(b, land, plan.parcel, b.uniform(9, 13)))


def _riverside(b: SceneBuilder, world: Rect, plan: Theme) -> _Site:
    middle, breadth = b.uniform(-0.1, 0.1) * world.width, b.uniform(24, 52)
    left, right = middle - breadth / 2, middle + breadth / 2
    waterside.river(b, world, left, right)
    site = _Site([], [], river=(left, right))
    width = b.uniform(9, 15)
    rows, cut = [world], []
    for at in b.uniform(-0.2, 0.1) * world.height + np.array([0.0, b.uniform(0.2, 0.4) * world.height]):
        upper, lower = rows.pop().split(False, at, width)
        rows += [upper, lower]
        cut.append(at)
    for at in cut:
        site.bridged.append(roads.Road(Rect(left - 3, at - width / 2, right + 3, at + width / 2), True))
    for x0, x1 in ((world.x0, left - 7), (right + 7, world.x1)):
        site.streets += [roads.Road(Rect(x0, at - width / 2, x1 + 4, at + width / 2), True) for at in cut]
        for row in rows:
            parcels, streets = roads.parcel_out(b, Rect(x0, row.y0, x1, row.y1), plan.parcel, 9.0)
            site.parcels += parcels
            site.streets += streets
    return site


def _fill(b: SceneBuilder, parcels: list[Rect], plan: Theme) -> None:
    """Gives the features to the parcels nearest to the middle, and the filler to the rest."""
    nearest = sorted(parcels, key=lambda rect: np.hypot(*rect.center) - 0.3 * rect.short_side)
    features, filler = list(b.rng.permutation(plan.features.split())), plan.filler.split()
    for rect in nearest:
        kind = features.pop() if features else filler[b.rng.integers(len(filler))]
        if rect.short_side < 12:
            kind = 'meadow'
        PARCELS[kind](b, rect)

"""Streets between parcels, their traffic, roundabouts and bridges."""

from dataclasses import dataclass

import numpy as np

from . import structures, vehicles
from .geometry import Rect, ellipse
from .nature import tree_row
from .scene import SceneBuilder

VERGE = 1.6  # meters of pavement on each side of the carriageway


@dataclass(frozen=True)
class Road:
    """A straight street; ``rect`` includes the pavements, traffic runs along its long axis ``along_x``."""

    rect: Rect
    along_x: bool

    def carriageway(self) -> Rect:
        """The asphalt, long enough to reach that of a crossing road."""
        r = self.rect
        if self.along_x:
            return Rect(r.x0 - VERGE - 0.5, r.y0 + VERGE, r.x1 + VERGE + 0.5, r.y1 - VERGE)
        return Rect(r.x0 + VERGE, r.y0 - VERGE - 0.5, r.x1 - VERGE, r.y1 + VERGE + 0.5)


def parcel_out(b: SceneBuilder, land: Rect, target: float, road_width: float) -> tuple[list[Rect], list[Road]]:
    """Splits land by roads, wide ones first, until parcels are about ``target`` meters long."""
    if land.long_side < target * b.uniform(1.3, 1.8) or land.long_side < 2.2 * road_width:
        return [land], []
    along_x = land.width >= land.height
    low, high = (land.x0, land.x1) if along_x else (land.y0, land.y1)
    at = low + (high - low) * b.uniform(0.35, 0.65)
    halves = land.split(along_x, at, road_width)
    if along_x:
        road = Road(Rect(at - road_width / 2, land.y0, at + road_width / 2, land.y1), False)
    else:
        road = Road(Rect(land.x0, at - road_width / 2, land.x1, at + road_width / 2), True)
    parcels, roads = [], [road]
    for half in halves:
        more_parcels, more_roads = parcel_out(b, half, target, max(8.5, 0.85 * road_width))
        parcels += more_parcels
        roads += more_roads
    return parcels, roads


def crossing(land: Rect, x: float, y: float, width: float, clear: float) -> tuple[list[Rect], list[Road]]:
    """Four quarters around a crossing at (x, y), kept ``clear`` meters off the streets."""
    quarters = [part for half in land.split(True, x, width + clear) for part in half.split(False, y, width + clear)]
    roads = [
        Road(Rect(x - width / 2, land.y0, x + width / 2, land.y1), False),
        Road(Rect(land.x0, y - width / 2, land.x1, y + width / 2), True),
    ]
    return quarters, roads


def draw_roads(b: SceneBuilder, roads: list[Road]) -> None:
    """Pavements below, carriageways above, markings on top, so that junctions join."""
    tint, paved = b.tint(), b.chance(0.75)
    surface = 'asphalt' if paved or b.chance(0.6) else ('gravel', 'soil')[b.rng.integers(2)]
    for road in roads:
        b.ground(road.rect.points, 'concrete' if paved else 'grass', 'pavement' if paved else 'low_vegetation')
    for road in roads:
        b.ground(road.carriageway().points, surface, 'road', tint)
    for road in roads if surface == 'asphalt' else ():
        _mark(b, road)


def _mark(b: SceneBuilder, road: Road) -> None:
    lane = road.carriageway()
    cx, cy = lane.center
    ends = [(lane.x0, cy), (lane.x1, cy)] if road.along_x else [(cx, lane.y0), (cx, lane.y1)]
    if lane.short_side > 11:
        b.line(ends, 'marking_yellow' if b.chance(0.4) else 'marking', 0.3)
        for side in (-0.25, 0.25):
            shift = (0, side * lane.short_side) if road.along_x else (side * lane.short_side, 0)
            _dashes(b, np.array(ends) + shift)
    elif b.chance(0.8):
        _dashes(b, np.array(ends))
    if b.chance(0.4):
        _zebra(b, road, lane)


def _dashes(b: SceneBuilder, ends: np.ndarray) -> None:
    length = float(np.abs(ends[1] - ends[0]).max())
    step = (ends[1] - ends[0]) / max(length, 1e-6)
    for u in np.arange(1.0, length - 2.5, 6.0):
        b.line([ends[0] + u * step, ends[0] + (u + 2.5) * step], 'marking', 0.25)


def _zebra(b: SceneBuilder, road: Road, lane: Rect) -> None:
    for at in np.arange(0.6, lane.short_side - 0.6, 1.3):
        if road.along_x:
            b.line([(lane.x0 + 4, lane.y0 + at), (lane.x0 + 7, lane.y0 + at)], 'marking', 0.55)
        else:
            b.line([(lane.x0 + at, lane.y0 + 4), (lane.x0 + at, lane.y0 + 7)], 'marking', 0.55)


def traffic(b: SceneBuilder, roads: list[Road], spacing: float) -> None:
    """Vehicles in their lanes, driving on the right, on average ``spacing`` meters apart."""
    for road in roads:
        lane = road.carriageway()
        lanes = 2 if lane.short_side < 11 else 4
        low, high = (lane.x0, lane.x1) if road.along_x else (lane.y0, lane.y1)
        for k in range(lanes):
            across = ((k + 0.5) / lanes - 0.5) * lane.short_side
            at = low + b.rng.exponential(spacing)
            while at < high - 3:
                _vehicle(b, road, lane.center, at, across)
                at += 6.5 + b.rng.exponential(spacing)
        if lanes == 2 and b.chance(0.35):
            _kerb_parking(b, road, lane)


def _vehicle(b: SceneBuilder, road: Road, center: tuple[float, float], at: float, across: float) -> None:
    heavy = b.chance(0.16)
    model = vehicles.large_vehicle(b.rng) if heavy else vehicles.small_vehicle(b.rng)
    x, y = (at, center[1] + across) if road.along_x else (center[0] - across, at)
    angle = (0.0 if across > 0 else np.pi) + (0.0 if road.along_x else np.pi / 2)
    b.add_free(model, x, y, angle + b.uniform(-0.03, 0.03), 6.5 if heavy else 2.6)


def _kerb_parking(b: SceneBuilder, road: Road, lane: Rect) -> None:
    low, high = (lane.x0, lane.x1) if road.along_x else (lane.y0, lane.y1)
    for at in np.arange(low + 4, high - 4, 6.0):
        if b.chance(0.6):
            _vehicle_at_kerb(b, road, lane, at)


def _vehicle_at_kerb(b: SceneBuilder, road: Road, lane: Rect, at: float) -> None:
    x, y = (at, lane.y1 + 0.6) if road.along_x else (lane.x0 - 0.6, at)
    b.add_free(vehicles.small_vehicle(b.rng), x, y, 0.0 if road.along_x else np.pi / 2, 2.4)


def street_trees(b: SceneBuilder, roads: list[Road]) -> None:
    """Rows of trees along some of the streets."""
    for road in roads:
        if not b.chance(0.35):
            continue
        r = road.rect
        if road.along_x:
            tree_row(b, (r.x0, r.y0 - 1.5), (r.x1, r.y0 - 1.5), b.uniform(8, 14))
        else:
            tree_row(b, (r.x1 + 1.5, r.y0), (r.x1 + 1.5, r.y1), b.uniform(8, 14))


def roundabout(b: SceneBuilder, x: float, y: float, radius: float) -> None:
    """A circle over a crossing with a few vehicles going round."""
    b.ground(ellipse(radius + 1.5, n=40) + (x, y), 'concrete', 'pavement')
    if not b.add(structures.roundabout(b.rng, radius), x, y):
        return
    start = b.uniform(0, 6.3)
    for turn in start + np.arange(0, 6.0, 1.1):
        if b.chance(0.5):
            ring = 0.8 * radius
            b.add_free(
                vehicles.small_vehicle(b.rng), x + ring * np.cos(turn), y + ring * np.sin(turn), turn - np.pi / 2, 2.6
            )
    b.reserve(x, y, radius)

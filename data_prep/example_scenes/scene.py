"""A scene: flat shapes in drawing order and the objects they belong to, independent of sensor and benchmark."""

from dataclasses import dataclass, field

import numpy as np

from .classes import CLASS_ID
from .geometry import place


@dataclass(slots=True)
class Shape:
    """One polygon or line of the scene.

    Attributes:
        points: (N, 2) world coordinates in meters.
        material: Key into the palette of a style.
        tint: In [0, 1): which color of the material, and how light.
        shade: Brightness factor, for the darker half of a roof and the like.
        label: Scene class id, or -1 for a decoration that keeps the class below.
        instance: Number of the object from 1, or 0.
        height: Meters above ground; casts a shadow where positive.
        line: Width in meters of a line drawn along ``points``; 0 fills a polygon.
        rows: Direction in radians and distance in meters of the rows of a field or lawn.
    """

    points: np.ndarray
    material: str
    tint: float = 0.5
    shade: float = 1.0
    label: int = -1
    instance: int = 0
    height: float = 0.0
    line: float = 0.0
    rows: tuple[float, float] | None = None


@dataclass(slots=True)
class Part:
    """A decoration of an object in the object's own coordinates (meters, x forward)."""

    points: np.ndarray
    material: str
    tint: float = 0.5
    shade: float = 1.0
    line: float = 0.0


@dataclass(slots=True)
class Model:
    """An object in its own coordinates: outlines carry the class, parts only decorate."""

    name: str
    outline: list[np.ndarray]
    material: str
    tint: float = 0.5
    height: float = 0.0
    parts: list[Part] = field(default_factory=list)
    rows: tuple[float, float] | None = None


@dataclass(slots=True)
class Instance:
    """A placed object: its class name and the four corners (4, 2) of its rotated box in meters."""

    name: str
    corners: np.ndarray


@dataclass
class Scene:
    """Shapes from bottom to top; instance ``k`` of a shape is ``instances[k - 1]``."""

    shapes: list[Shape] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)


class SceneBuilder:
    """Collects a scene; knows which object classes are wanted and where vehicles already stand.

    Args:
        rng: Source of all randomness of the scene.
        classes: Names of the object classes that may be placed.
    """

    def __init__(self, rng: np.random.Generator, classes: frozenset[str]) -> None:
        self.rng = rng
        self.classes = classes
        self.scene = Scene()
        self._taken: list[tuple[float, float, float]] = []

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return bool(self.rng.random() < probability)

    def uniform(self, low: float, high: float) -> float:
        """A number between two, in either order."""
        return low + (high - low) * float(self.rng.random())

    def tint(self) -> float:
        """A random tint, see ``Shape``."""
        return float(self.rng.random())

    def ground(
        self,
        points: np.ndarray,
        material: str,
        name: str | None = None,
        tint: float | None = None,
        **shape_args: object,
    ) -> None:
        """Draws land cover: a polygon of class ``name``, or a decoration without a class of its own."""
        label = -1 if name is None else CLASS_ID[name]
        tint = self.tint() if tint is None else tint
        self.scene.shapes.append(Shape(points, material, tint, label=label, **shape_args))

    def line(self, points: np.ndarray, material: str, width: float, tint: float = 0.5) -> None:
        """Draws a line of ``width`` meters without a class."""
        self.scene.shapes.append(Shape(np.asarray(points, float), material, tint, line=width))

    def add(self, model: Model, x: float, y: float, angle: float = 0.0) -> bool:
        """Places an object unless its class is not wanted; returns whether it did."""
        if model.name not in self.classes:
            return False
        own = np.concatenate(model.outline)
        (left, top), (right, bottom) = own.min(0), own.max(0)
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        self.scene.instances.append(Instance(model.name, place(corners, x, y, angle)))
        number, label = len(self.scene.instances), CLASS_ID[model.name]
        rows = None if model.rows is None else (model.rows[0] + angle, model.rows[1])
        for outline in model.outline:
            self.scene.shapes.append(
                Shape(
                    place(outline, x, y, angle),
                    model.material,
                    model.tint,
                    label=label,
                    instance=number,
                    height=model.height,
                    rows=rows,
                )
            )
        for part in model.parts:
            self.scene.shapes.append(
                Shape(place(part.points, x, y, angle), part.material, part.tint, part.shade, line=part.line)
            )
        return True

    def reserve(self, x: float, y: float, radius: float) -> None:
        """Keeps ``add_free`` from placing anything here."""
        self._taken.append((x, y, radius))

    def is_free(self, x: float, y: float, radius: float = 0.0) -> bool:
        """Whether a disc touches nothing that was reserved."""
        return all((x - u) ** 2 + (y - v) ** 2 >= (radius + r) ** 2 for u, v, r in self._taken)

    def add_free(self, model: Model, x: float, y: float, angle: float, radius: float) -> bool:
        """As ``add``, but only where the disc of ``radius`` is free, which it then reserves."""
        if not self.is_free(x, y, radius) or not self.add(model, x, y, angle):
            return False
        self.reserve(x, y, radius)
        return True

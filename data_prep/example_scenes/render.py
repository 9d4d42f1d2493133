"""Draws a scene as a sensor sees it, with the truth of every pixel."""

from dataclasses import dataclass

import cv2
import numpy as np

from .scene import Scene, Shape
from .styles import Style, parse_colors
from .texture import apply_texture
from .view import View

SUPERSAMPLE = 2
MIN_PIXELS = 6  # objects with fewer visible pixels get no box
BORDER = 8  # fillPoly paints wrong pixels at the edge for polygons beyond it; the border is cut off
INFRARED = {'grass': 2.0, 'turf': 2.1, 'tree': 2.6, 'crop': 1.7, 'soil': 1.05, 'water': 0.5}


@dataclass(frozen=True)
class Box:
    """A rotated box: class name, corners (4, 2) in pixels, clockwise, perhaps outside the image, and object number."""

    name: str
    corners: np.ndarray
    instance: int


@dataclass(frozen=True)
class Picture:
    """One rendered scene of S x S pixels.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        classes: (S, S) uint8 scene class ids.
        instances: (S, S) int32 object numbers, 0 where no object is.
        boxes: One for each object with visible pixels.
        gsd: Meters per pixel.
    """

    image: np.ndarray
    classes: np.ndarray
    instances: np.ndarray
    boxes: list[Box]
    gsd: float


def render(rng: np.random.Generator, scene: Scene, style: Style, view: View) -> Picture:
    """Renders a scene.

    Args:
        rng: Source of sun direction, grading and noise.
        scene: Shapes and objects.
        style: Palette, light, air and sensor.
        view: Size, ground resolution and direction.

    Returns:
        Image, truth and boxes.
    """
    canvas, shadow, top = _rasterize(rng, scene.shapes, style, view)
    size = (view.size, view.size)
    image = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    shade = cv2.resize(shadow, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    top = np.ascontiguousarray(top[::SUPERSAMPLE, ::SUPERSAMPLE])
    apply_texture(rng, image, top, scene.shapes, view, style.texture)
    image *= 1 - rng.uniform(*style.shadow_strength) * shade[..., None] / 255 * np.array([1.0, 0.97, 0.88], np.float32)
    image = grade(rng, image, style)
    labels = np.array([max(shape.label, 0) for shape in scene.shapes], np.uint8)
    owners = np.array([shape.instance for shape in scene.shapes], np.int32)
    instances = owners[top]
    boxes = _boxes(scene, instances, view)
    return Picture(image, labels[top], instances, boxes, view.gsd)


def _boxes(scene: Scene, instances: np.ndarray, view: View) -> list[Box]:
    visible = np.bincount(instances.ravel(), minlength=len(scene.instances) + 1)
    boxes = []
    for number, instance in enumerate(scene.instances, start=1):
        if visible[number] >= MIN_PIXELS:
            boxes.append(Box(instance.name, view.to_pixels(instance.corners), number))
    return boxes


def _rasterize(
    rng: np.random.Generator, shapes: list[Shape], style: Style, view: View
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colors, shadow (0-255) and the index of the topmost classed shape, all supersampled."""
    side = view.size * SUPERSAMPLE + 2 * BORDER
    scale = SUPERSAMPLE / view.gsd
    canvas, shadow = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.uint8)
    top = np.zeros((side, side), np.int32)
    sun, reach = rng.uniform(0, 2 * np.pi), rng.uniform(*style.shadow_length) * scale
    ray = np.array([np.cos(sun), np.sin(sun)]) * reach
    starts = np.cumsum([0] + [len(shape.points) for shape in shapes])
    placed = view.to_pixels(np.concatenate([shape.points for shape in shapes]), SUPERSAMPLE)
    points = np.rint(placed + BORDER - 0.5).astype(np.int32)
    low, high = (f.reduceat(points, starts[:-1]) for f in (np.minimum, np.maximum))
    margin = 12 * reach  # shadows of things outside reach into the view
    for index in np.flatnonzero((high > -margin).all(1) & (low < side + margin).all(1)):
        shape, polygon = shapes[index], points[starts[index] : starts[index + 1]]
        color = _color(shape, style)
        if shape.line:
            cv2.polylines(canvas, [polygon], False, color, max(1, round(shape.line * scale)))
            continue
        if shape.height:
            _cast(shadow, polygon, ray * shape.height, shape.height, side)
        cv2.fillPoly(canvas, [polygon], color)
        if shape.label >= 0:
            cv2.fillPoly(top, [polygon], int(index))
    inner = slice(BORDER, side - BORDER)
    return canvas[inner, inner], shadow[inner, inner], top[inner, inner]


def _cast(shadow: np.ndarray, polygon: np.ndarray, offset: np.ndarray, height: float, side: int) -> None:
    """Adds the shadow of a raised polygon and keeps its own top lit unless something higher shades it."""
    middle = np.clip(polygon.mean(0).astype(int), 0, side - 1)
    shaded = height < 4 and shadow[middle[1], middle[0]]
    moved = polygon + np.rint(offset).astype(np.int32)
    if len(polygon) <= 12 or cv2.isContourConvex(polygon):
        cv2.fillConvexPoly(shadow, cv2.convexHull(np.concatenate([polygon, moved])), 255)
    else:
        cv2.fillPoly(shadow, [moved], 255)
    if not shaded:
        cv2.fillPoly(shadow, [polygon], 0)


def _color(shape: Shape, style: Style) -> tuple[float, float, float]:
    """The color that ``tint`` picks from the palette: the whole part chooses, the rest makes it lighter or darker."""
    choices = parse_colors(style.palette[shape.material])
    place = shape.tint * len(choices)
    red, green, blue = choices[int(place)]
    light = shape.shade * (0.88 + 0.24 * (place - int(place)))
    if style.false_color:
        red, green, blue = (
            min(255.0, INFRARED.get(shape.material, 1.05) * 0.5 * (red + green)),
            0.85 * red,
            0.85 * green,
        )
    return min(red * light, 255.0), min(green * light, 255.0), min(blue * light, 255.0)


def grade(rng: np.random.Generator, image: np.ndarray, style: Style) -> np.ndarray:
    """Optics, air and sensor: (S, S, 3) float32 in 0-255 to uint8."""
    gray = image.mean(2, keepdims=True)
    image = gray + rng.uniform(*style.saturation) * (image - gray)
    image = (image - 118) * rng.uniform(*style.contrast) + 118
    gains = np.array(style.gains) * rng.uniform(*style.brightness) * rng.uniform(0.97, 1.03, 3)
    image *= gains.astype(np.float32)
    haze = rng.uniform(*style.haze)
    image = image * (1 - haze) + np.array(style.haze_color, np.float32) * haze
    image = image.astype(np.float32)
    blur = rng.uniform(*style.blur)
    if blur > 0.15:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    height, width = image.shape[:2]
    image += rng.standard_normal(image.shape, np.float32) * rng.uniform(*style.noise)
    image += rng.standard_normal((1, width, 1), np.float32) * rng.uniform(*style.stripes)
    return np.clip(image, 0, 255).astype(np.uint8)

"""Rotated boxes around the visible parts of objects, as an annotator draws them."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from ..classes import check_names
from ..render import Picture

WHOLE = 0.999
ENOUGH = 0.5  # share of an object inside the image below which it is marked as difficult


@dataclass(frozen=True)
class LabeledBox:
    """A box of a benchmark.

    Attributes:
        name: Class name of the benchmark.
        corners: (4, 2), pixels, clockwise.
        truncated: A part of the object is outside the image.
        difficult: Most of the object is outside the image.
    """

    name: str
    corners: np.ndarray
    truncated: bool
    difficult: bool


def class_names(names: Mapping[str, str], scene_classes: tuple[str, ...]) -> dict[str, str]:
    """The benchmark's name of each of its scene classes.

    Args:
        names: Benchmark's name -> corresponding scene classes, separated by spaces.
        scene_classes: All object classes of scenes.

    Raises:
        ValueError: If a scene class is unknown or occurs twice.
    """
    pairs = [(scene_class, name) for name, text in names.items() for scene_class in text.split()]
    check_names('class', tuple(scene_class for scene_class, _ in pairs), scene_classes)
    return dict(pairs)


def labeled_boxes(picture: Picture, names: Mapping[str, str]) -> list[LabeledBox]:
    """The objects that a benchmark labels.

    Args:
        picture: The scene.
        names: See :func:`class_names`.

    Returns:
        A box for each visible object of these classes. That of an object which the border cuts is the smallest around
        the part inside the image.
    """
    side = len(picture.image)
    frame = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    boxes = []
    for box in picture.boxes:
        if box.name not in names:
            continue
        corners = box.corners.astype(np.float32)
        area, inside = cv2.intersectConvexConvex(corners, frame)
        share = area / cv2.contourArea(corners)
        if share < WHOLE:
            if inside is None or min(cv2.minAreaRect(inside)[1]) < 1:
                continue  # a sliver of less than a pixel
            corners = cv2.boxPoints(cv2.minAreaRect(inside))
        boxes.append(LabeledBox(names[box.name], corners, share < WHOLE, share < ENOUGH))
    return boxes

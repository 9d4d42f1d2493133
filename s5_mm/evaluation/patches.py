"""Detections in patches become detections in the images that the patches were cut from."""
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .polygon_overlaps import overlapping_pairs

LARGEST_RATE = 32
"""Numbers in patch names from here on are sizes in px."""


class Patch(NamedTuple):
    """Where a patch comes from.

    Attributes:
        image: Name of the image, without suffix.
        left: First column, in px of the image times ``rate``.
        top: First row, likewise.
        rate: Pixels of the patch to a pixel of the image, along a side.
    """

    image: str
    left: int
    top: int
    rate: float


def parse_patch(name: str) -> Patch:
    """Read the name of a patch.

    Args:
        name: ``IMAGE__SIZE__X___Y`` for pixels as they are in the image, e.g. ``P0706__1024__0___824``, or
            ``IMAGE__RATE__X___Y`` as the DOTA devkit names patches of the image resized by RATE, e.g.
            ``P0706__0.5__0___824``; X and Y count pixels after resizing. A number below 32 is a rate.

    Raises:
        ValueError: It is no such name.
    """
    parts = re.fullmatch(r'(.+)__(\d+(?:\.\d+)?)__(\d+)___(\d+)', name)
    if parts is None or float(parts[2]) == 0:
        raise ValueError(f'{name} is no name of a patch; it must be IMAGE__SIZE__X___Y or IMAGE__RATE__X___Y, as '
                         'data_prep/dota.py names patches. Whole images need no merging: use s5_mm.RotatedMAP.')
    number = float(parts[2])
    return Patch(parts[1], int(parts[3]), int(parts[4]), number if number < LARGEST_RATE else 1.0)


def to_image(polygons: np.ndarray, patch: Patch) -> np.ndarray:
    """Corners in the image of boxes in a patch.

    Args:
        polygons: (N, 8), in px of the patch.
        patch: Where it comes from.

    Returns:
        (N, 8), in px of the image.
    """
    return (polygons + np.tile([patch.left, patch.top], 4)) / patch.rate


def polygon_nms(polygons: np.ndarray, scores: np.ndarray, iou_thr: float) -> np.ndarray:
    """Non-maximum suppression of one class with float64 overlaps.

    Boxes are kept by falling score (the first of equal ones first); one that has an IoU above ``iou_thr`` with a kept
    one is dropped.

    Args:
        polygons: (N, 8), float64 corners.
        scores: (N, ).
        iou_thr: In [0, 1].

    Returns:
        Indices of the kept boxes, by falling score.
    """
    order = np.argsort(-scores, kind='stable')
    pairs = overlapping_pairs(polygons[order], above=iou_thr)
    starts = np.searchsorted(pairs.first, np.arange(len(order) + 1))
    kept = np.ones(len(order), bool)
    for box in np.unique(pairs.first):
        if kept[box]:
            kept[pairs.second[starts[box]:starts[box + 1]]] = False
    return order[kept]


def class_nms(polygons: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou_thr: float) -> np.ndarray:
    """:func:`polygon_nms` of each class.

    Args:
        polygons: (N, 8), float64 corners.
        scores: (N, ).
        labels: (N, ), classes.
        iou_thr: In [0, 1].

    Returns:
        Indices of the kept boxes, by class, then by falling score.
    """
    kept = [np.zeros(0, np.int64)]
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        kept.append(own[polygon_nms(polygons[own], scores[own], iou_thr)])
    return np.concatenate(kept)


def merge(parts: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
          iou_thr: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put together what was found in the patches of an image.

    Args:
        parts: Of each patch corners in px of the *image* (N, 8), scores (N, ) and labels (N, ).
        iou_thr: A box with an IoU above this with a better one of its class is dropped, see :func:`polygon_nms`.

    Returns:
        Corners, scores and labels of what is kept, by class, then by falling score.
    """
    none = (np.zeros((0, 8)), np.zeros(0), np.zeros(0, np.int64))
    polygons, scores, labels = (np.concatenate(values) for values in zip(none, *parts, strict=True))
    kept = class_nms(polygons, scores, labels, iou_thr)
    return polygons[kept], scores[kept], labels[kept]

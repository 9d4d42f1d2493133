"""Merging of detections in patches to detections in whole images."""
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from s5_mm.ops import nms_rotated

LARGEST_RATE = 32
"""A number in a patch name is a size in px from this value on, and a rate below."""


class Patch(NamedTuple):
    """Where a patch comes from.

    Attributes:
        image: Name of the image, without suffix.
        left: First column, in px of the image resized by ``rate``.
        top: First row, likewise.
        rate: Pixels of the patch for each pixel of the image, along a side.
    """

    image: str
    left: int
    top: int
    rate: float


def parse_patch(name: str) -> Patch:
    """Parse the name of a patch.

    Args:
        name: ``IMAGE__SIZE__X___Y`` for a patch of the original image, e.g. ``P0706__1024__0___824``, or
            ``IMAGE__RATE__X___Y`` for a patch of the image resized by RATE (as in the DOTA devkit), e.g.
            ``P0706__0.5__0___824``. X and Y are in pixels after resizing. A number below 32 is a rate.

    Raises:
        ValueError: The name has another form.
    """
    parts = re.fullmatch(r'(.+)__(\d+(?:\.\d+)?)__(\d+)___(\d+)', name)
    if parts is None or float(parts[2]) == 0:
        raise ValueError(f'{name} is not the name of a patch; it must be IMAGE__SIZE__X___Y or IMAGE__RATE__X___Y, as '
                         'data_prep/dota.py names patches. Whole images need no merging: use s5_mm.RotatedMAP.')
    number = float(parts[2])
    return Patch(parts[1], int(parts[3]), int(parts[4]), number if number < LARGEST_RATE else 1.0)


def to_image(polygons: np.ndarray, patch: Patch) -> np.ndarray:
    """Transform corners from a patch to its image.

    Args:
        polygons: (N, 8), in px of the patch.
        patch: Position of the patch.

    Returns:
        (N, 8), in px of the image.
    """
    return (polygons + np.tile([patch.left, patch.top], 4)) / patch.rate


def class_nms(polygons: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou_thr: float) -> np.ndarray:
    """Apply :func:`s5_mm.ops.nms_rotated`, which computes overlaps in float64, to each class.

    Args:
        polygons: (N, 8), float64 corners.
        scores: (N, ).
        labels: (N, ), indices of classes.
        iou_thr: In [0, 1].

    Returns:
        Indices of the kept boxes, sorted by class, then by descending score.
    """
    kept = nms_rotated(*map(torch.from_numpy, (polygons, scores)), iou_thr, torch.from_numpy(labels)).numpy()
    return kept[np.argsort(labels[kept], kind='stable')]


def merge(parts: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
          iou_thr: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge the detections in the patches of an image.

    Args:
        parts: For each patch, corners in px of the *image* (N, 8), scores (N, ) and labels (N, ).
        iou_thr: A box is dropped if its IoU with one of its class and a higher score is above this.

    Returns:
        Corners, scores and labels of the kept boxes, sorted by class, then by descending score.
    """
    none = (np.zeros((0, 8)), np.zeros(0), np.zeros(0, np.int64))
    polygons, scores, labels = (np.concatenate(values) for values in zip(none, *parts, strict=True))
    kept = class_nms(polygons, scores, labels, iou_thr)
    return polygons[kept], scores[kept], labels[kept]

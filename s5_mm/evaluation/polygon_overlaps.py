"""Overlaps of boxes for metrics, as NumPy arrays in float64; :mod:`s5_mm.ops` computes them."""
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from s5_mm import ops


class Pairs(NamedTuple):
    """Pairs of boxes that overlap. All other pairs have the IoU 0.

    Attributes:
        first: Index into the first list, (P, ), in ascending order.
        second: Index into the second list, (P, ).
        iou: In (0, 1], (P, ).
    """

    first: np.ndarray
    second: np.ndarray
    iou: np.ndarray


def as_polygons(boxes: Tensor | np.ndarray) -> np.ndarray:
    """Corners of boxes, computed in float64.

    Args:
        boxes: (N, 5) rotated boxes: center x and y, width, height, angle in radians, clockwise in the image, as
            in mmrotate; or (N, 8) corners x1 y1 ... x4 y4. A box structure of mmdet or mmrotate may be given.

    Returns:
        (N, 8), float64.

    Raises:
        ValueError: The boxes have another shape.
    """
    boxes = torch.as_tensor(getattr(boxes, 'tensor', boxes))
    return ops.corners_of(boxes.cpu()).numpy()


def overlapping_pairs(first: np.ndarray, second: np.ndarray | None = None, above: float = 0.0) -> Pairs:
    """Find the pairs of quadrilaterals with an IoU above a threshold.

    Corners in a wrong order (two sides cross) are replaced by their convex hull. A quadrilateral without area, or with
    a corner that is not finite, overlaps nothing.

    Args:
        first: (N, 8), float64 corners.
        second: (M, 8), float64 corners; ``None`` for the pairs within the first list, each once.
        above: Threshold, at least 0. Pairs with this IoU or a smaller one are left out.

    Returns:
        The pairs, sorted by index in the first list, then in the second.
    """
    first, second = (None if one is None else torch.from_numpy(np.ascontiguousarray(one)) for one in (first, second))
    return Pairs(*(column.numpy() for column in ops.overlapping_pairs(first, second, above)))

"""Overlaps of rotated boxes and quadrilaterals in float64.

mmcv's ``box_iou_rotated`` and ``box_iou_quadri`` work in float32. For boxes that nearly coincide or share an edge, as
those of a good detector do, their values are far below 1 or even 0. The metrics and the merging of patches use this
module instead.
"""
from typing import NamedTuple

import numpy as np
import shapely
import torch
from mmrotate.structures.bbox import rbox2qbox
from torch import Tensor

CHUNK = 1 << 16
"""Number of pairs that are intersected at a time; limits the memory of their geometries."""


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
    boxes = torch.as_tensor(getattr(boxes, 'tensor', boxes)).detach().cpu().double()
    if boxes.ndim != 2 or boxes.shape[1] not in (5, 8):
        raise ValueError(f'boxes have the shape {tuple(boxes.shape)}; rotated boxes are (N, 5), quadrilaterals (N, 8).')
    return (rbox2qbox(boxes) if boxes.shape[1] == 5 else boxes).numpy()


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
    alone = second is None
    shapes, bounds = _geometries(first), _bounds(first)
    others, other_bounds = (shapes, bounds) if alone else (_geometries(second), _bounds(second))
    areas, other_areas = shapely.area(shapes), shapely.area(others)
    i, j = _candidates(bounds, other_bounds, alone)
    low, high = np.maximum(bounds[i, :2], other_bounds[j, :2]), np.minimum(bounds[i, 2:], other_bounds[j, 2:])
    smaller, both = np.minimum(areas[i], other_areas[j]), areas[i] + other_areas[j]
    # The intersection is at most as large as the smaller shape and as the intersection of the bounds.
    most = np.minimum(np.prod(high - low, axis=1), smaller)
    room = (smaller > 0) & (most > above * (both - most) * (1 - 1e-9))
    i, j, both = i[room], j[room], both[room]
    common = np.empty(len(i))
    for start in range(0, len(i), CHUNK):
        part = slice(start, start + CHUNK)
        common[part] = shapely.area(shapely.intersection(shapes[i[part]], others[j[part]]))
    iou = np.minimum(common / (both - common), 1.0)
    kept = iou > above
    return Pairs(i[kept], j[kept], iou[kept])


def _candidates(bounds: np.ndarray, others: np.ndarray, alone: bool) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the pairs whose bounds intersect, in ascending order; within one list each pair once."""
    i, j = shapely.STRtree(shapely.box(*others.T)).query(shapely.box(*bounds.T))
    if alone:
        i, j = i[i < j], j[i < j]
    order = np.lexsort((j, i))
    return i[order], j[order]


def _bounds(polygons: np.ndarray) -> np.ndarray:
    """(N, 4) left, top, right, bottom; NaN for a polygon that is not finite, which the tree does not find."""
    corners = polygons.reshape(-1, 4, 2)
    bounds = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    bounds[~np.isfinite(bounds).all(axis=1)] = np.nan
    return bounds


def _geometries(polygons: np.ndarray) -> np.ndarray:
    """Shapely polygons (N, ) without crossing sides."""
    corners = polygons.reshape(-1, 4, 2)
    finite = np.isfinite(corners).all(axis=(1, 2))
    shapes = shapely.polygons(np.where(finite[:, None, None], corners, 0.0))
    crossed = ~shapely.is_valid(shapes)
    shapes[crossed] = shapely.convex_hull(shapes[crossed])
    return shapes

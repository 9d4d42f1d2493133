"""Overlaps of rotated boxes and quadrilaterals, computed in float64 whatever the type of the input."""
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .common_area import common_area_of_boxes, common_area_of_quadrilaterals

CELLS = 1 << 20
"""Number of pairs whose bounds are compared at a time; limits memory."""

PAIRS = 1 << 13
"""Number of pairs whose common area is computed at a time; limits memory, and their numbers fit into a CPU's cache."""

NOISE = 1e-12
"""Boxes that have a smaller share of the smaller one in common have nothing in common; it is rounding."""


class Pairs(NamedTuple):
    """Pairs of boxes that overlap. All other pairs have the IoU 0.

    Attributes:
        first: Index into the first list, (P, ).
        second: Index into the second list, (P, ).
        iou: In (0, 1], (P, ), float64.
    """

    first: Tensor
    second: Tensor
    iou: Tensor


class Shapes(NamedTuple):
    """Boxes with what is known of each.

    Attributes:
        boxes: (N, 5) rotated boxes or (N, 8) corners in an order in which no sides cross, float64.
        bounds: (4, N) left, top, right, bottom; NaN for a box that overlaps nothing.
        areas: (N, ).
        labels: (N, ) classes, of which only equal ones overlap; or ``None``.
    """

    boxes: Tensor
    bounds: Tensor
    areas: Tensor
    labels: Tensor | None = None

    def __getitem__(self, index: Tensor | slice) -> 'Shapes':
        """Some of the boxes."""
        labels = None if self.labels is None else self.labels[index]
        return Shapes(self.boxes[index], self.bounds[:, index], self.areas[index], labels)


def box_iou_rotated(first: Tensor, second: Tensor, mode: str = 'iou', aligned: bool = False,
                    clockwise: bool = True) -> Tensor:
    """Intersection over union of rotated boxes or quadrilaterals.

    Boxes without area, and those with a number that is not finite, overlap nothing.

    Args:
        first: (N, 5): center x and y, width, height, angle in radians; or (N, 8) corners x1 y1 ... x4 y4. Of any
            floating type and layout in memory.
        second: (M, 5) or (M, 8); as many as the first, if they are aligned.
        mode: ``'iou'``, or ``'iof'`` for intersection over the area of the first box.
        aligned: Whether to compare the boxes at the same place of both lists only.
        clockwise: Whether angles are positive clockwise in the image, which makes no difference here.

    Returns:
        (N, M), or (N, ) if they are aligned, in [0, 1]; float64 if one of the inputs is, else float32.

    Raises:
        ValueError: The boxes have another shape, or the mode is unknown.
    """
    if mode not in ('iou', 'iof'):
        raise ValueError(f"mode is {mode!r}; choose 'iou' or 'iof'.")
    if aligned and len(first) != len(second):
        raise ValueError(f'aligned boxes are compared one by one, but there are {len(first)} and {len(second)}.')
    dtype = torch.promote_types(torch.promote_types(first.dtype, second.dtype), torch.float32)
    first, second = shapes(first), shapes(second)
    shape = (len(first.areas), ) if aligned else (len(first.areas), len(second.areas))
    table = first.boxes.new_zeros(shape, dtype=dtype)
    for i, j in _aligned_candidates(first, second) if aligned else _candidates(first, second):
        common = _common_areas(first, second, i, j)
        of = first.areas[i] if mode == 'iof' else first.areas[i] + second.areas[j] - common
        table[i if aligned else (i, j)] = (common / of).clamp(max=1).to(dtype)
    return table


def overlapping_pairs(first: Tensor, second: Tensor | None = None, above: float = 0.0) -> Pairs:
    """Find the pairs of boxes with an IoU above a threshold.

    Args:
        first: (N, 5) or (N, 8), see :func:`box_iou_rotated`.
        second: (M, 5) or (M, 8); ``None`` for the pairs within the first list, each once.
        above: Threshold, at least 0. Pairs with this IoU or a smaller one are left out.

    Returns:
        The pairs, sorted by index in the first list, then in the second.
    """
    first = shapes(first)
    parts = list(find_pairs(first, None if second is None else shapes(second), above))
    none = Pairs(*(first.areas.new_zeros(0, dtype=dtype) for dtype in (torch.int64, torch.int64, torch.float64)))
    pairs = Pairs(*map(torch.cat, zip(none, *parts, strict=True)))
    order = pairs.second.argsort(stable=True)
    order = order[pairs.first[order].argsort(stable=True)]
    return Pairs(*(column[order] for column in pairs))


def find_pairs(first: Shapes, second: Shapes | None, above: float) -> Iterator[Pairs]:
    """The pairs of :func:`overlapping_pairs` in parts and in any order."""
    others = first if second is None else second
    for i, j in _candidates(first, others):
        if second is None:
            once = i < j
            i, j = i[once], j[once]
        if first.labels is not None:
            same = first.labels[i] == others.labels[j]
            i, j = i[same], j[same]
        if above > 0:
            i, j = _with_room(first, others, i, j, above)
        common = _common_areas(first, others, i, j)
        iou = (common / (first.areas[i] + others.areas[j] - common)).clamp(max=1)
        kept = iou > above
        yield Pairs(i[kept], j[kept], iou[kept])


def shapes(boxes: Tensor, labels: Tensor | None = None) -> Shapes:
    """Bounds and areas of boxes, in float64.

    Args:
        boxes: (N, 5) or (N, 8), see :func:`box_iou_rotated`.
        labels: (N, ), classes; only boxes of the same class are compared.

    Raises:
        ValueError: The boxes have another shape.
    """
    boxes = _in_float64(boxes)
    if boxes.shape[1] == 5:
        x, y, width, height, angle = boxes.unbind(1)
        cos, sin = angle.cos().abs() / 2, angle.sin().abs() / 2
        right, down = width * cos + height * sin, width * sin + height * cos
        bounds = torch.stack([x - right, y - down, x + right, y + down])
        areas = width.clamp(min=0) * height.clamp(min=0)
    else:
        boxes = _uncrossed(boxes)
        x, y = boxes.view(-1, 4, 2).permute(2, 1, 0)
        bounds = torch.stack([x.amin(0), y.amin(0), x.amax(0), y.amax(0)])
        areas = ((x[2] - x[0]) * (y[3] - y[1]) - (x[3] - x[1]) * (y[2] - y[0])).abs() / 2
    there = (areas > 0) & areas.isfinite() & bounds.isfinite().all(0)
    return Shapes(boxes, torch.where(there, bounds, torch.nan), areas, labels)


def corners_of(boxes: Tensor) -> Tensor:
    """Corners of boxes, in the order in which mmrotate names them.

    Args:
        boxes: (N, 5) or (N, 8), see :func:`box_iou_rotated`.

    Returns:
        (N, 8), float64.

    Raises:
        ValueError: The boxes have another shape.
    """
    boxes = _in_float64(boxes)
    if boxes.shape[1] == 8:
        return boxes
    x, y, width, height, angle = boxes.unbind(1)
    cos, sin = angle.cos() / 2, angle.sin() / 2
    along_x, along_y, across_x, across_y = width * cos, width * sin, -height * sin, height * cos
    return torch.stack([
        x + along_x + across_x, y + along_y + across_y, x + along_x - across_x, y + along_y - across_y,
        x - along_x - across_x, y - along_y - across_y, x - along_x + across_x, y - along_y + across_y], dim=1)


def _in_float64(boxes: Tensor) -> Tensor:
    if boxes.ndim != 2 or boxes.shape[1] not in (5, 8):
        raise ValueError(f'boxes have the shape {tuple(boxes.shape)}; rotated boxes are (N, 5), quadrilaterals (N, 8).')
    return boxes.detach().double().contiguous()


def _uncrossed(corners: Tensor) -> Tensor:
    """Corners (N, 8), in the order around their center where two sides cross, touch or lie on each other.

    No corner is inside the triangle of the others then, so this order makes them their convex hull.
    """
    points = corners.view(-1, 4, 2)
    sides = points.roll(-1, 1) - points
    turning_back = (_cross(sides, sides.roll(-1, 1)) == 0) & ((sides * sides.roll(-1, 1)).sum(2) < 0)
    a, b, c, d = points.unbind(1)
    crossed = _meet(a, b, c, d) | _meet(b, c, d, a) | turning_back.any(1)
    x, y = (points - points.mean(1, keepdim=True)).unbind(2)
    around = points.gather(1, torch.atan2(y, x).argsort(1)[..., None].expand_as(points))
    return torch.where(crossed[:, None, None], around, points).flatten(1)


def _meet(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Whether the sides from a to b and from c to d, (N, 2) each, have a point in common and are not on one line."""
    first = _cross(b - a, c - a).sign() * _cross(b - a, d - a).sign()
    second = _cross(d - c, a - c).sign() * _cross(d - c, b - c).sign()
    return (first <= 0) & (second <= 0) & (first + second < 0)


def _cross(first: Tensor, second: Tensor) -> Tensor:
    """Area of the parallelogram of two vectors (..., 2), positive if the second one is clockwise in the image."""
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _candidates(first: Shapes, second: Shapes) -> Iterator[tuple[Tensor, Tensor]]:
    """Indices of the pairs whose bounds overlap, in parts: boxes of the first list from left to right, with the boxes
    of the second list near them."""
    # Those that overlap nothing, whose bounds are NaN, come last.
    order = first.bounds[0].argsort()[:int(first.bounds[0].isfinite().sum())]
    for rows in order.split(max(1, CELLS // max(1, len(second.areas)))) if len(order) else ():
        left, top, right, bottom = own = first.bounds[:, rows]
        low, high = own[:2].amin(1, keepdim=True), own[2:].amax(1, keepdim=True)
        near = ((second.bounds[:2] < high) & (second.bounds[2:] > low)).all(0).nonzero()[:, 0]
        other_left, other_top, other_right, other_bottom = second.bounds[:, near]
        hits = left[:, None] < other_right
        hits &= right[:, None] > other_left
        hits &= top[:, None] < other_bottom
        hits &= bottom[:, None] > other_top
        i, j = hits.nonzero(as_tuple=True)
        yield rows[i], near[j]


def _aligned_candidates(first: Shapes, second: Shapes) -> Iterator[tuple[Tensor, Tensor]]:
    """The same for boxes at the same place."""
    there = ((first.bounds[:2] < second.bounds[2:]) & (second.bounds[:2] < first.bounds[2:])).all(0).nonzero()[:, 0]
    yield there, there


def _with_room(first: Shapes, second: Shapes, i: Tensor, j: Tensor, above: float) -> tuple[Tensor, Tensor]:
    """Those pairs whose areas and bounds allow an IoU above a threshold."""
    own, other = first.bounds[:, i], second.bounds[:, j]
    sides = torch.minimum(own[2:], other[2:]) - torch.maximum(own[:2], other[:2])
    areas = first.areas[i], second.areas[j]
    most = torch.minimum(torch.minimum(*areas), sides[0] * sides[1])
    room = most > above * (areas[0] + areas[1] - most) * (1 - 1e-9)
    return i[room], j[room]


def _common_areas(first: Shapes, second: Shapes, i: Tensor, j: Tensor) -> Tensor:
    """Common areas of pairs, (P, )."""
    if first.boxes.shape[1] == second.boxes.shape[1] == 5:
        function, boxes, others = common_area_of_boxes, first.boxes, second.boxes
    else:
        function = common_area_of_quadrilaterals
        boxes, others = corners_of(first.boxes), corners_of(second.boxes)
    parts = [function(boxes[a], others[b]) for a, b in zip(i.split(PAIRS), j.split(PAIRS), strict=True)]
    common, smaller = torch.cat([first.areas[:0], *parts]), torch.minimum(first.areas[i], second.areas[j])
    return common.where(common > NOISE * smaller, 0)

"""Area that pairs of rotated boxes or quadrilaterals have in common, in closed form.

By Green's theorem the area of a polygon P inside a rectangle is an integral along the sides of P:

    area = sum over the sides of  integral of clamp(s, 0, right) dt,  where t is in [0, top]

and inside the triangle below its diagonal the same with ``clamp(s, 0, right - t)``. One box of a pair is moved to the
rectangle (two triangles, if it is any quadrilateral), the other one is P. Each side's integral is a continuous function
of the corners, so there is no decision that rounding could turn: boxes that coincide, touch or have sides on one line
are as exact as all others.
"""
import torch
from torch import Tensor


def common_area_of_boxes(first: Tensor, second: Tensor) -> Tensor:
    """Area that pairs of rotated boxes have in common.

    Args:
        first: (P, 5), float64: center x and y, width, height, angle in radians.
        second: (P, 5), likewise.

    Returns:
        (P, ), float64.
    """
    x, y, _, _, angle = (first - second).unbind(1)
    _, _, width, height, _ = first.unbind(1)
    _, _, right, top, turn = second.unbind(1)
    cos, sin = turn.cos(), turn.sin()
    # Center and half sides of the first box, seen from a corner of the second one along its sides.
    s, t = x * cos + y * sin + right / 2, y * cos - x * sin + top / 2
    cos, sin = angle.cos() / 2, angle.sin() / 2
    along_s, along_t, across_s, across_t = width * cos, width * sin, -height * sin, height * cos
    sum_s, difference_s, sum_t, difference_t = (
        along_s + across_s, along_s - across_s, along_t + across_t, along_t - across_t)
    corners_s = torch.stack([s + sum_s, s - difference_s, s - sum_s, s + difference_s])
    corners_t = torch.stack([t + sum_t, t - difference_t, t - sum_t, t + difference_t])
    return _area_inside(corners_s, corners_t, right, top, triangle=False).abs()


def common_area_of_quadrilaterals(first: Tensor, second: Tensor) -> Tensor:
    """Area that pairs of quadrilaterals without crossing sides have in common.

    Args:
        first: (P, 8), float64 corners x1 y1 ... x4 y4.
        second: (P, 8), likewise.

    Returns:
        (P, ), float64.
    """
    first, second = (quadrilaterals.view(-1, 4, 2).permute(2, 1, 0) for quadrilaterals in (first, second))
    origin = second[:, :1]
    (x, y), (u, v) = first - origin, second - origin
    area = 0
    for a, b in ((1, 2), (2, 3)):
        # In these coordinates, which enlarge areas by the determinant, the triangle has two sides of that length. A
        # triangle that turns the other way, beside a concave corner, counts negative.
        determinant = u[a] * v[b] - u[b] * v[a]
        sign, side = determinant.sign(), determinant.abs()
        corners_s, corners_t = sign * (x * v[b] - y * u[b]), sign * (y * u[a] - x * v[a])
        inside = _area_inside(corners_s, corners_t, side, side, triangle=True)
        area = area + inside / torch.where(side > 0, side, 1)
    return area.abs()


def _area_inside(s: Tensor, t: Tensor, right: Tensor, top: Tensor, triangle: bool) -> Tensor:
    """Area of polygons inside rectangles, or inside the triangles below their diagonals from (0, top) to (right, 0).

    Args:
        s: (K, P), first coordinates of the K corners.
        t: (K, P), second ones.
        right: (P, ), length of the rectangles along the first coordinate.
        top: (P, ), along the second one; for triangles equal to ``right``.
        triangle: Whether the triangles are meant.

    Returns:
        (P, ), negative for polygons that turn the other way.
    """
    run, rise = s.roll(-1, 0) - s, t.roll(-1, 0) - t
    start = torch.minimum(t.clamp(min=0), top)
    end = start.roll(-1, 0)
    # A side without rise has no share; any divisor will do.
    rise = torch.where(rise == 0, 1, rise)
    start_s = s + run * ((start - t) / rise).clamp(0, 1)
    end_s = s + run * ((end - t) / rise).clamp(0, 1)
    beyond = (start, end) if triangle else (0, 0)
    width = (_mean_of_positive_part(start_s, end_s)
             - _mean_of_positive_part(start_s - right + beyond[0], end_s - right + beyond[1]))
    return ((end - start) * width).sum(0)


def _mean_of_positive_part(start: Tensor, end: Tensor) -> Tensor:
    """Mean of max(x, 0), where x goes evenly from a start to an end."""
    low, high, length = start.clamp(min=0), end.clamp(min=0), end - start
    share = torch.where(length == 0, 1, (high - low) / length)
    return share * (low + high) / 2

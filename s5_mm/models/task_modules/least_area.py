"""Rotated boxes of which a logarithm can be taken."""
import torch
from mmrotate.structures.bbox import RotatedBoxes

LEAST_SIDE = 0.01
"""Pixels."""


def with_area(boxes: RotatedBoxes) -> RotatedBoxes:
    """Boxes whose sides are at least 0.01 pixels.

    The logarithm of a side of 0, as a labeled box may have, makes the loss infinite and all weights NaN.

    Args:
        boxes: (N, 5): center x and y, width and height in pixels, angle in radians.

    Returns:
        The same, (N, 5), with longer sides where they were shorter.
    """
    centers, sides, angles = boxes.tensor.split([2, 2, 1], dim=-1)
    return RotatedBoxes(torch.cat([centers, sides.clamp(min=LEAST_SIDE), angles], dim=-1))

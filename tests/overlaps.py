"""Overlaps as a table, for tests."""
import numpy as np

from s5_mm.evaluation import overlapping_pairs


def polygon_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of each quadrilateral with each of a second list, see :func:`overlapping_pairs`.

    Args:
        first: (N, 8), float64 corners.
        second: (M, 8), float64 corners.

    Returns:
        (N, M), in [0, 1].
    """
    pairs = overlapping_pairs(first, second)
    iou = np.zeros((len(first), len(second)))
    iou[pairs.first, pairs.second] = pairs.iou
    return iou

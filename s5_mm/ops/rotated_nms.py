"""Non-maximum suppression of rotated boxes and quadrilaterals."""
import torch
from torch import Tensor

from .overlaps import Pairs, find_pairs, shapes

BLOCK = 256
"""Boxes that are decided together. What they suppress is not compared with anything any more."""


def nms_rotated(boxes: Tensor, scores: Tensor, iou_threshold: float, labels: Tensor | None = None) -> Tensor:
    """Keep the boxes that overlap no kept one of a higher score too much.

    Boxes are visited in descending order of score, equal scores in the order of the input. A box is dropped if its IoU
    with a kept one is above the threshold.

    Args:
        boxes: (N, 5): center x and y, width, height, angle in radians; or (N, 8) corners x1 y1 ... x4 y4.
        scores: (N, ).
        iou_threshold: In [0, 1].
        labels: (N, ), classes; boxes of different classes do not suppress each other. ``None``: they are of one class.

    Returns:
        Indices of the kept boxes, (K, ), in descending order of score.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = shapes(boxes[order], None if labels is None else labels[order])
    kept, rest = [], torch.arange(len(order), device=order.device)
    while len(rest):
        block, rest = rest[:BLOCK], rest[BLOCK:]
        block = block[_visit(list(find_pairs(ranked[block], None, iou_threshold)), block)]
        left = torch.ones_like(rest, dtype=torch.bool)
        for pairs in find_pairs(ranked[block], ranked[rest], iou_threshold):
            left[pairs.second] = False
        rest = rest[left]
        kept.append(block)
    return order[torch.cat([order[:0], *kept])]


def _visit(parts: list[Pairs], block: Tensor) -> Tensor:
    """Which boxes of a block are kept, (B, ) bool, given its pairs with too high an overlap, the better box first.

    All are kept at first. In each round a box is dropped if a box kept in the last round suppresses it. The best box is
    right from the start, and each round makes at least one more box right for ever, so it ends with the greedy choice.
    """
    kept = torch.ones_like(block)
    better, worse = (torch.cat([block[:0], *(getattr(part, name) for part in parts)]) for name in ('first', 'second'))
    while True:
        found = torch.ones_like(kept).scatter_reduce(0, worse, 1 - kept[better], 'amin')
        if torch.equal(found, kept):
            return kept.bool()
        kept = found

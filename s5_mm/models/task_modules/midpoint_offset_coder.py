"""mmrotate's midpoint-offset coder of Oriented R-CNN with a decoder of tensor operations."""
import math
from typing import Any

import torch
from mmdet.structures.bbox import HorizontalBoxes, get_box_tensor
from mmrotate.models.task_modules.coders import MidpointOffsetCoder as MMRotateCoder
from mmrotate.structures.bbox import RotatedBoxes
from torch import Tensor

from s5_mm.registry import TASK_UTILS

from .least_area import with_area


@TASK_UTILS.register_module()
class S5MidpointOffsetCoder(MMRotateCoder):
    """Deltas (dx, dy, dw, dh, da, db) of Oriented R-CNN (arXiv 2108.05699), decoded on the device of the deltas.

    mmrotate fits a rectangle to each box's corners by OpenCV, one after another on the CPU. The corners are a rectangle
    already, so its sides say everything. One case is the published decoder's own: where the upper and the right corner
    meet in the upper right corner of the horizontal box (da >= 1/2 and db <= -1/2), it returns that box, mmrotate a
    diagonal without area.

    Args:
        kwargs: As mmrotate's class takes them.
    """

    def encode(self, bboxes: HorizontalBoxes, gt_bboxes: RotatedBoxes) -> Tensor:
        """Deltas from boxes to others, finite for flat ones, too.

        Args:
            bboxes: Anchors (N, 4): x1, y1, x2, y2 in pixels.
            gt_bboxes: (N, 5): center x and y, width and height in pixels, angle in radians.

        Returns:
            Deltas, (N, 6).
        """
        return super().encode(bboxes, with_area(gt_bboxes))

    def decode(self, bboxes: HorizontalBoxes | Tensor, pred_bboxes: Tensor, max_shape: Any = None,
               wh_ratio_clip: float = 16 / 1000) -> RotatedBoxes | Tensor:
        """Rotated boxes from horizontal ones and deltas, in float32.

        Args:
            bboxes: Anchors (N, 4): x1, y1, x2, y2 in pixels.
            pred_bboxes: Deltas, (N, 6).
            max_shape: Not used.
            wh_ratio_clip: Least factor of width and height, and the inverse of the largest.

        Returns:
            Boxes (N, 5): center x and y, width and height in pixels, angle in radians as ``angle_version`` says.
        """
        anchors, deltas = get_box_tensor(bboxes).float(), pred_bboxes.float()
        deltas = deltas * deltas.new_tensor(self.stds) + deltas.new_tensor(self.means)
        centers, sizes = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
        limit = abs(math.log(wh_ratio_clip))
        centers, sizes = centers + sizes * deltas[:, :2], sizes * deltas[:, 2:4].clamp(-limit, limit).exp()
        decoded = torch.cat([centers, _rectangle(sizes, deltas[:, 4:].clamp(-0.5, 0.5))], dim=1)
        decoded = RotatedBoxes(decoded).regularize_boxes(self.angle_version)
        return RotatedBoxes(decoded) if self.use_box_type else decoded


def _rectangle(sizes: Tensor, offsets: Tensor) -> Tensor:
    """The oriented rectangle in a horizontal box.

    Args:
        sizes: Width and height of the horizontal boxes, (N, 2).
        offsets: Of the upper corner from the middle of the upper side, and of the right one from that of the right
            side, (N, 2), as shares of that side, in [-1/2, 1/2].

    Returns:
        Width, height and angle, (N, 3).
    """
    shifts, halves = offsets * sizes, sizes / 2
    upper = torch.stack([shifts[:, 0], -halves[:, 1]], dim=1)
    right = torch.stack([halves[:, 0], shifts[:, 1]], dim=1)
    # Corners of a parallelogram, seen from its center; equally long diagonals make it a rectangle.
    to_upper, to_right = upper.norm(dim=1, keepdim=True), right.norm(dim=1, keepdim=True)
    longer = torch.maximum(to_upper, to_right)
    upper, right = upper * (longer / to_upper), right * (longer / to_right)
    sides = torch.stack([right - upper, right + upper], dim=1)
    lengths, order = sides.norm(dim=2).sort(dim=1, descending=True)
    # The longer side tells the direction: the other one may have no length.
    along = sides.gather(1, order[:, :1, None].expand(-1, -1, 2))[:, 0]
    rectangle = torch.cat([lengths, torch.atan2(along[:, 1:], along[:, :1])], dim=1)
    horizontal = torch.cat([sizes, torch.zeros_like(sizes[:, :1])], dim=1)
    met = (offsets[:, :1] >= 0.5) & (offsets[:, 1:] <= -0.5)
    return torch.where(met, horizontal, rectangle)

"""mmrotate's coder of rotated boxes without the clamp to the image, finite for every box."""
from typing import Any

from mmrotate.models.task_modules.coders import DeltaXYWHTRBBoxCoder as MMRotateCoder
from mmrotate.structures.bbox import RotatedBoxes
from torch import Tensor

from s5_mm.registry import TASK_UTILS

from .least_area import with_area


@TASK_UTILS.register_module()
class S5DeltaXYWHTRBBoxCoder(MMRotateCoder):
    """Deltas (dx, dy, dw, dh, dtheta) of rotated boxes, whose centers may lie outside of the image, as S5 decodes them.

    mmdet's heads tell a coder the image's size, and mmrotate's moves centers inside: that shifts the boxes of objects
    which the border of a patch cuts.

    Args:
        kwargs: As mmrotate's class takes them.
    """

    def encode(self, bboxes: RotatedBoxes, gt_bboxes: RotatedBoxes) -> Tensor:
        """Deltas from boxes to others, finite for flat ones, too.

        Args:
            bboxes: (N, 5), as ``gt_bboxes``.
            gt_bboxes: (N, 5): center x and y, width and height in pixels, angle in radians.

        Returns:
            Deltas, (N, 5).
        """
        return super().encode(with_area(bboxes), with_area(gt_bboxes))

    def decode(self, bboxes: RotatedBoxes | Tensor, pred_bboxes: Tensor, max_shape: Any = None,
               wh_ratio_clip: float = 16 / 1000) -> RotatedBoxes | Tensor:
        """Move boxes by deltas, in float32.

        Args:
            bboxes: (N, 5): center x and y, width and height in pixels, angle in radians.
            pred_bboxes: Deltas, (N, 5) or (N, 5 * classes).
            max_shape: Not used.
            wh_ratio_clip: Least factor of width and height, and the inverse of the largest.

        Returns:
            Boxes of the shape of the deltas.
        """
        return super().decode(bboxes, pred_bboxes.float(), None, wh_ratio_clip)

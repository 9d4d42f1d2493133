"""mmrotate's RoI extractor, looking at a margin around each RoI, in float32."""
from collections.abc import Sequence
from typing import Any

from mmrotate.models.roi_heads.roi_extractors import RotatedSingleRoIExtractor as MMRotateExtractor
from torch import Tensor

from s5_mm.registry import MODELS


@MODELS.register_module()
class S5RotatedSingleRoIExtractor(MMRotateExtractor):
    """Features of rotated RoIs with a margin, from the level that the size with the margin asks for, as S5 takes them.

    mmrotate's class enlarges RoIs after their level is chosen, if at all, and rounds their coordinates to the type of
    the features: in half precision an RoI at pixel 1000 is off by up to half a pixel, in bfloat16 by up to two. It also
    expects maps and RoIs that are contiguous in memory: the compiled operator reads a channels-last map as if its
    channels came first, without an error. Here every layout gives the same features.

    Args:
        extend_factor: What height and width of each RoI are multiplied with, each above 0.
        kwargs: As mmrotate's class takes them.

    Raises:
        ValueError: ``extend_factor`` is impossible.
    """

    def __init__(self, *args: Any, extend_factor: Sequence[float] = (1.4, 1.2), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(extend_factor) != 2 or min(extend_factor) <= 0:
            raise ValueError(f'S5RotatedSingleRoIExtractor: extend_factor is {extend_factor}; give factors of height '
                             'and width, each above 0.')
        self.extend_factor = tuple(extend_factor)

    def forward(self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Pool.

        Args:
            feats: A map (B, C, h, w) of each level.
            rois: (K, 6): index of the image, center x and y, width and height in pixels, angle in radians.
            roi_scale_factor: A further factor of the size, which does not count for the choice of the level.

        Returns:
            Features (K, C, height, width), float32.
        """
        rois = self.roi_rescale(rois.float(), self.extend_factor).contiguous()
        return super().forward([level.float().contiguous() for level in feats], rois, roi_scale_factor)

"""mmseg's UPerHead with separate resize conventions inside the head and for its logits."""
from mmseg.models.decode_heads import UPerHead as MMSegUPerHead
from torch import Tensor

from s5_mm.registry import MODELS


@MODELS.register_module()
class UPerHead(MMSegUPerHead):
    """UperNet decoder as S5 trains it: ``align_corners`` is False between the levels and True for the logits.

    mmseg has one setting for both. Here ``align_corners`` is the one that losses, predictions and the segmentor use to
    resize logits.

    Args:
        align_corners: For the resize of the logits to the image.
        kwargs: As mmseg's head takes them.
    """

    def __init__(self, align_corners: bool = True, **kwargs) -> None:
        super().__init__(align_corners=False, **kwargs)
        self.align_corners = align_corners

    def _forward_feature(self, inputs: tuple[Tensor, ...]) -> Tensor:
        logits_setting, self.align_corners = self.align_corners, False
        try:
            return super()._forward_feature(inputs)
        finally:
            self.align_corners = logits_setting

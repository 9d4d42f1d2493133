"""mmseg's S5UPerHead with separate resize conventions inside the head and for its logits."""
import torch.nn.functional as F
from mmseg.models.decode_heads import UPerHead as MMSegUPerHead
from torch import Tensor

from s5_mm.models.layers import UpsampledConv2d
from s5_mm.registry import MODELS


@MODELS.register_module()
class S5UPerHead(MMSegUPerHead):
    """UperNet decoder as S5 trains it: ``align_corners`` is False between the levels and True for the logits.

    mmseg has one setting for both. Here ``align_corners`` is the one that losses, predictions and the segmentor use to
    resize logits. Where mmseg upsamples maps to convolve their concatenation, smaller maps are convolved at their own
    size (:class:`s5_mm.models.layers.UpsampledConv2d`): a third of the multiply-adds less, the same function.

    Args:
        align_corners: For the resize of the logits to the image.
        kwargs: As mmseg's head takes them.
    """

    def __init__(self, align_corners: bool = True, **kwargs) -> None:
        super().__init__(align_corners=False, **kwargs)
        self.align_corners = align_corners
        for module in (self.bottleneck, self.fpn_bottleneck):
            module.conv = UpsampledConv2d.replacing(module.conv)

    def psp_forward(self, inputs: list[Tensor]) -> Tensor:
        """Top level with its pooled context.

        Args:
            inputs: Maps of the encoder, (B, C, h, w); the last is pooled.
        """
        return self.bottleneck([inputs[-1], *(pooled(inputs[-1]) for pooled in self.psp_modules)])

    def _forward_feature(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Map (B, channels, H, W) in the size of the first level, before classification."""
        inputs = self._transform_inputs(inputs)
        levels = [conv(x) for conv, x in zip(self.lateral_convs, inputs[:-1], strict=True)]
        levels.append(self.psp_forward(inputs))
        for i in reversed(range(len(levels) - 1)):
            levels[i] = levels[i] + F.interpolate(levels[i + 1], levels[i].shape[2:], mode='bilinear')
        outputs = [conv(x) for conv, x in zip(self.fpn_convs, levels[:-1], strict=True)]
        return self.fpn_bottleneck([*outputs, levels[-1]])

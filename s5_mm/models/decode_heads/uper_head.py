"""mmseg's UPerHead with separate resize conventions inside the head and for its logits."""
from collections.abc import Sequence

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import UPerHead
from torch import Tensor

from s5_mm.models.layers import adaptive_avg_pool2d, upsampled_conv2d
from s5_mm.registry import MODELS


@MODELS.register_module()
class S5UPerHead(UPerHead):
    """UperNet decoder as S5 trains it: ``align_corners`` is False between the levels and True for the logits.

    mmseg has one setting for both. Here ``align_corners`` is the one that losses, predictions and the segmentor use to
    resize logits. Where mmseg upsamples maps to convolve their concatenation, smaller maps are convolved at their own
    size (:func:`s5_mm.models.layers.upsampled_conv2d`): a third fewer multiply-adds, the same function.

    Args:
        align_corners: For the resize of the logits to the image.
        kwargs: As mmseg's head takes them.
    """

    def __init__(self, align_corners: bool = True, **kwargs) -> None:
        super().__init__(align_corners=align_corners, **kwargs)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (B, K, H, W) in the size of the first level.

        Args:
            inputs: Maps of the encoder, (B, C, h, w), large ones first.
        """
        maps = [inputs[i] for i in self.in_index]
        levels = [conv(x) for conv, x in zip(self.lateral_convs, maps[:-1], strict=True)]
        levels.append(self.psp_forward(maps))
        for i in reversed(range(len(levels) - 1)):
            levels[i] = levels[i] + F.interpolate(levels[i + 1], levels[i].shape[2:], mode='bilinear')
        outputs = [conv(x) for conv, x in zip(self.fpn_convs, levels[:-1], strict=True)]
        return self.cls_seg(_apply(self.fpn_bottleneck, [*outputs, levels[-1]]))

    def psp_forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Top level with its pooled context.

        Args:
            inputs: Maps of the encoder, (B, C, h, w); the last is pooled.
        """
        top = inputs[-1]
        context = [conv(adaptive_avg_pool2d(top, (scale, scale)))
                   for scale, (_, conv) in zip(self.psp_modules.pool_scales, self.psp_modules, strict=True)]
        return _apply(self.bottleneck, [top, *context])


def _apply(module: ConvModule, maps: list[Tensor]) -> Tensor:
    """A convolution with norm and activation, of maps of several sizes."""
    out = upsampled_conv2d(module.conv, maps)
    out = module.norm(out) if module.with_norm else out
    return module.activate(out) if module.with_activation else out

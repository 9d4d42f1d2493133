"""A segmentor as one function of an image: what is exported and compiled.

Shapes: B images of H x W pixels with C bands, K classes.
"""
from collections.abc import Sequence

import torch
from mmseg.models import EncoderDecoder
from torch import Tensor, nn
from torch.nn.functional import interpolate

from s5_mm.scenes.engine import class_shares


class SegmentationGraph(nn.Module):
    """Images to class probabilities, without test protocol and data samples.

    Args:
        segmentor: See :func:`s5_mm.export.plain.plain_segmentor`.
        mean: Of each band, in the order of the images' bands.
        std: Likewise.
        preprocessing: Whether it normalizes.
        backward: Whether the segmentor takes the bands in reversed order.
    """

    def __init__(self, segmentor: EncoderDecoder, mean: Sequence[float], std: Sequence[float],
                 preprocessing: bool = True, backward: bool = False) -> None:
        super().__init__()
        self.segmentor, self.preprocessing, self.backward = segmentor, preprocessing, backward
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (B, K, H, W), float32.

        Args:
            images: (B, C, H, W), uint8 in the order of the bands; without ``preprocessing`` float32, normalized.
        """
        inputs = (images.float() - self.mean) / self.std if self.preprocessing else images
        head = self.segmentor.decode_head
        logits = head(self.segmentor.extract_feat(inputs.flip(1) if self.backward else inputs))
        # As BaseDecodeHead.predict_by_feat, which reads the size from metainfo and fixes it to that of an example.
        logits = interpolate(logits, images.shape[-2:], mode='bilinear', align_corners=head.align_corners)
        return class_shares(logits.float())

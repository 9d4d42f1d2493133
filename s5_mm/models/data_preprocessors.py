"""The hosts' data preprocessors for images of any number of bands; theirs take one or three."""
from collections.abc import Sequence

import torch
from mmdet.models import DetDataPreprocessor
from mmengine.model import ImgDataPreprocessor
from mmseg.models import SegDataPreProcessor

from s5_mm.registry import MODELS


class _Bands(ImgDataPreprocessor):
    """To be mixed in before a host's class.

    Args:
        mean: Of each band.
        std: Likewise.
        bgr_to_rgb: Taken and ignored: only images of three bands are loaded as blue, green, red.
        kwargs: As the host's class takes them.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], bgr_to_rgb: bool = False,
                 **kwargs: object) -> None:
        super().__init__(mean=[0.0], std=[1.0], **kwargs)
        # A host's buffers of one value for all bands become those of each band.
        self.mean, self.std = (torch.tensor(values, dtype=torch.float32).view(-1, 1, 1) for values in (mean, std))


@MODELS.register_module()
class BandSegDataPreProcessor(_Bands, SegDataPreProcessor):
    """mmseg's for images of any number of bands."""


@MODELS.register_module()
class BandDetDataPreprocessor(_Bands, DetDataPreprocessor):
    """mmdet's for images of any number of bands."""

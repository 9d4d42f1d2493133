"""mmseg's segmentor for one dataset, with what its own lacks."""
from typing import Any

from mmseg.models import EncoderDecoder as MMSegEncoderDecoder
from torch import Tensor

from s5_mm.registry import MODELS

from .image_metas import image_metas
from .protocols import build_protocol


@MODELS.register_module()
class S5EncoderDecoder(MMSegEncoderDecoder):
    """mmseg's ``EncoderDecoder`` with all test protocols and layer-wise learning rates.

    ``test_cfg`` takes what :func:`s5_mm.models.segmentors.protocols.build_protocol` takes.

    Args:
        kwargs: As mmseg's class takes them.
    """

    encoder_prefix = 'backbone.'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protocol = build_protocol(self.test_cfg or {})

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Scores (B, K, H, W) of images (B, 3, H, W) by the test protocol."""
        return self.protocol(lambda images: self.encode_decode(images, image_metas(images)), inputs, batch_img_metas)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter and number of depths, for layer-wise learning rates; heads are at the last."""
        return self.backbone.get_layer_depth(param_name, f'{prefix}backbone.')

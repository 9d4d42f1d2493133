"""mmseg's segmentor for one dataset, with what its own lacks."""
from typing import Any

from mmseg.models import EncoderDecoder
from torch import Tensor

from s5_mm.models.backbones.asking import complete_head, complete_preprocessor
from s5_mm.registry import MODELS

from .image_metas import image_metas
from .protocols import build_protocol, padded


@MODELS.register_module()
class S5EncoderDecoder(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` that asks its encoder, with all test protocols and layer-wise learning rates.

    Where the config leaves them out, the encoder states ``in_channels`` of heads and neck, and ``mean`` and ``std`` of
    the data preprocessor. ``test_cfg`` takes what :func:`s5_mm.models.segmentors.protocols.build_protocol` takes.

    Args:
        backbone: The encoder.
        decode_head: One head.
        neck: Between them.
        auxiliary_head: One or several heads.
        data_preprocessor: mmseg's.
        kwargs: As mmseg's class takes them.

    Attributes:
        encoder_prefix: What stands before the encoder's parameters in the state dict.
    """

    encoder_prefix = 'backbone.'

    def __init__(self, backbone: dict, decode_head: dict, neck: dict | None = None,
                 auxiliary_head: dict | list[dict] | None = None, data_preprocessor: dict | None = None,
                 **kwargs: Any) -> None:
        encoder = MODELS.build(backbone)
        behind = None if neck else encoder
        if auxiliary_head is not None:
            heads = auxiliary_head if isinstance(auxiliary_head, list | tuple) else [auxiliary_head]
            auxiliary_head = [complete_head(head, behind) for head in heads]
        super().__init__(
            dict(type=lambda: encoder),  # mmseg builds a config: this one gives what is built already
            complete_head(decode_head, behind),
            neck=complete_head(neck, encoder) if neck else None,
            auxiliary_head=auxiliary_head,
            data_preprocessor=complete_preprocessor(data_preprocessor, encoder),
            **kwargs)
        self.protocol = build_protocol(self.test_cfg or {})

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Scores (B, K, H, W) of images (B, 3, H, W) by the test protocol."""
        logits_of = padded(lambda images: self.encode_decode(images, image_metas(images)),
                           getattr(self.backbone, 'divisor', 1))
        return self.protocol(logits_of, inputs, batch_img_metas)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter and number of depths, for layer-wise learning rates; heads are at the last."""
        return self.backbone.get_layer_depth(param_name, f'{prefix}{self.encoder_prefix}')

"""mmseg's segmentor for one dataset, with what its own lacks."""
from typing import Any

from mmseg.models import EncoderDecoder as MMSegEncoderDecoder
from torch import Tensor

from s5_mm.checkpoints.segmentor import adapt_encoder, adapt_loaded, translate_single
from s5_mm.registry import MODELS

from .image_metas import image_metas
from .protocols import build_protocol


@MODELS.register_module()
class S5EncoderDecoder(MMSegEncoderDecoder):
    """mmseg's ``EncoderDecoder`` with all test protocols, layer-wise learning rates, and files of other naming styles.

    ``test_cfg`` takes what :func:`s5_mm.models.segmentors.protocols.build_protocol` takes. Published S4P segmentors and
    encoders alone load by themselves, see :func:`s5_mm.checkpoints.segmentor.translate_single`.

    Args:
        kwargs: As mmseg's class takes them.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protocol = build_protocol(self.test_cfg or {})
        self._register_load_state_dict_pre_hook(self._adapt_loaded)

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Scores (B, K, H, W) of images (B, 3, H, W) by the test protocol."""
        return self.protocol(lambda images: self.encode_decode(images, image_metas(images)), inputs, batch_img_metas)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter and number of depths, for layer-wise learning rates; heads are at the last."""
        return self.backbone.get_layer_depth(param_name, f'{prefix}backbone.')

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """A known file's weights under the names of this model; others as they are."""
        weights, style = translate_single(weights)
        return weights if style is None else adapt_encoder(weights, self.backbone)

    def _adapt_loaded(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Load hook."""
        adapt_loaded(self, translate_single, state_dict, prefix)

"""Gated feed-forward network of a ViT block."""
from collections.abc import Callable

from mmpretrain.models.utils import SwiGLUFFN
from torch import nn

from s5_mm.registry import MODELS


@MODELS.register_module()
class SwiGLU(SwiGLUFFN):
    """mmpretrain's ``w3(silu(w1 x) * (w2 x))``, with ``w1`` and ``w2`` in one layer ``w12``, for :class:`s5_mm.ViT`.

    Args:
        embed_dims: Channels C of the tokens.
        feedforward_channels: Channels of the product.
        drop_path: Drop path rate of the result, in [0, 1).
        layer_scale: Initial value of the layer scale; 0: none.
        second_linear: Makes ``w3`` from its numbers of input and output channels, e.g. with experts.
    """

    def __init__(self, embed_dims: int, feedforward_channels: int, drop_path: float = 0.0, layer_scale: float = 0.0,
                 second_linear: Callable[[int, int], nn.Module] = nn.Linear) -> None:
        super().__init__(embed_dims, feedforward_channels, layer_scale_init_value=layer_scale,
                         dropout_layer=dict(type='DropPath', drop_prob=drop_path), add_identity=False)
        self.w3 = second_linear(feedforward_channels, embed_dims)

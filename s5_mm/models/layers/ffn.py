"""Feed-forward network of a ViT block."""
from collections.abc import Callable

from mmcv.cnn.bricks import DropPath
from mmpretrain.models.utils import LayerScale
from torch import Tensor, nn

from s5_mm.registry import MODELS


@MODELS.register_module()
class FFN(nn.Module):
    """Two linear layers with a GELU between them. Parameters are named as in mmcv's ``FFN``.

    Args:
        embed_dims: Channels C of the tokens.
        feedforward_channels: Channels between the layers.
        drop_path: Drop path rate of the result, in [0, 1).
        layer_scale: Initial value of the layer scale; 0: none.
        second_linear: Makes the second layer from its numbers of input and output channels, e.g. with experts.
    """

    def __init__(self, embed_dims: int, feedforward_channels: int, drop_path: float = 0.0, layer_scale: float = 0.0,
                 second_linear: Callable[[int, int], nn.Module] = nn.Linear) -> None:
        super().__init__()
        first = nn.Sequential(nn.Linear(embed_dims, feedforward_channels), nn.GELU())
        self.layers = nn.Sequential(first, second_linear(feedforward_channels, embed_dims))
        self.gamma2 = LayerScale(embed_dims, layer_scale) if layer_scale else nn.Identity()
        self.dropout_layer = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens (B, N, C)."""
        return self.dropout_layer(self.gamma2(self.layers(x)))

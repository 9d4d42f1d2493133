"""Multi-head self-attention of a ViT block."""
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor

from s5_mm.registry import MODELS


@MODELS.register_module()
class SelfAttention(MultiheadAttention):
    """mmpretrain's attention through ``scaled_dot_product_attention``, in the form that :class:`s5_mm.ViT` injects.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        drop_path: Drop path rate of the result, in [0, 1).
        qkv_bias: Whether query, key and value have a bias.
        layer_scale: Initial value of the layer scale; 0: none.
    """

    def __init__(self, embed_dims: int, num_heads: int, drop_path: float = 0.0, qkv_bias: bool = True,
                 layer_scale: float = 0.0) -> None:
        super().__init__(embed_dims, num_heads, qkv_bias=qkv_bias, layer_scale_init_value=layer_scale,
                         dropout_layer=dict(type='DropPath', drop_prob=drop_path))

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend among all tokens.

        Args:
            x: Tokens, (B, N, C).
            grid: Rows and columns of the patches among them; not needed here, but by windowed attention.

        Returns:
            (B, N, C).
        """
        return super().forward(x)

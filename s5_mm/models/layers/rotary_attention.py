"""Multi-head self-attention of a ViT block with rotary positions."""
import torch
import torch.nn.functional as F
from torch import Tensor

from s5_mm.registry import MODELS

from .rotary import rotate
from .self_attention import SelfAttention


@MODELS.register_module()
class RotaryAttention(SelfAttention):
    """Attention whose queries and keys are rotated by the places of their patches, as in DINOv3.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        drop_path: See :class:`SelfAttention`.
        qkv_bias: Likewise.
        layer_scale: Likewise.
        key_bias: Whether keys have a bias. Without, a third of ``qkv.bias`` stays in files but has no effect.
    """

    def __init__(self, embed_dims: int, num_heads: int, drop_path: float = 0.0, qkv_bias: bool = True,
                 layer_scale: float = 0.0, key_bias: bool = False) -> None:
        super().__init__(embed_dims, num_heads, drop_path, qkv_bias, layer_scale)
        is_key = torch.zeros(3, embed_dims, dtype=torch.bool)
        is_key[1] = not key_bias
        self.register_buffer('without_bias', is_key.flatten(), persistent=False)

    def forward(self, x: Tensor, grid: tuple[int, int], rotation: tuple[Tensor, Tensor]) -> Tensor:
        """Attend among all tokens.

        Args:
            x: Tokens, (B, extra + N, C); patches come last.
            grid: Rows and columns of the patches; not needed.
            rotation: See :func:`s5_mm.models.layers.rotary.rotate`.

        Returns:
            (B, extra + N, C).
        """
        bias = self.qkv.bias
        bias = None if bias is None else bias.masked_fill(self.without_bias, 0.0)
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(-1, (3, self.num_heads, self.head_dims))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(rotate(q, rotation), rotate(k, rotation), v)
        return self.out_drop(self.gamma1(self.proj(x.transpose(1, 2).flatten(2))))

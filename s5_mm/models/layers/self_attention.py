"""Multi-head self-attention with a cheaper backward pass."""
import torch
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor


class SelfAttention(MultiheadAttention):
    """mmpretrain's, whose gradients of query, key and value are put together in one copy.

    It takes the three out of the result of ``qkv`` by indexing, and the gradient of an index is a map of zeros as
    large as all three; so three such maps are filled and summed. That of unbinding is one concatenation. Function
    and parameters are the same.
    """

    @classmethod
    def replacing(cls, given: MultiheadAttention) -> 'SelfAttention':
        """One with the layers of mmpretrain's attention; no dropout inside, as ViT has it."""
        # On the meta device no random numbers are drawn, so that a seed gives the weights that it always gave.
        with torch.device('meta'):
            own = cls(given.embed_dims, given.num_heads)
        own.qkv, own.proj, own.out_drop = given.qkv, given.proj, given.out_drop
        return own

    def forward(self, x: Tensor) -> Tensor:
        """Attend among tokens (B, N, C), C channels."""
        # Each (B, N, heads, channels of a head)
        parts = self.qkv(x).unflatten(-1, (3, self.num_heads, self.head_dims)).unbind(dim=2)
        query, key, value = (part.transpose(1, 2) for part in parts)
        attended = self.scaled_dot_product_attention(query, key, value)
        return self.out_drop(self.proj(attended.transpose(1, 2).flatten(2)))

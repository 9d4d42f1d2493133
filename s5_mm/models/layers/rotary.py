"""Rotary position embedding in two dimensions.

Shapes: N patches, d channels of a head.
"""
import math

import torch
from torch import Tensor, nn

from s5_mm.registry import MODELS


@MODELS.register_module()
class RotaryEmbedding(nn.Module):
    """Sines and cosines by which DINOv3 (arXiv 2508.10104) rotates queries and keys of patches.

    A patch in row i of H and column j of W is at ``y = (2 i + 1) / H - 1`` and ``x = (2 j + 1) / W - 1``. The angles of
    its first d / 4 channels are ``2 pi y / period``, those of the next ones ``2 pi x / period``, and so for the other
    half. The random shifts and scales of DINOv3's own training are left out.

    Args:
        head_dims: d, a multiple of 4.
        base: The periods are ``base ** (4 i / d)``, i in [0, d / 4).

    Attributes:
        periods: (d / 4); a file has its own, in DINOv3's case rounded to bfloat16.

    Raises:
        ValueError: d is no multiple of 4.
    """

    def __init__(self, head_dims: int, base: float = 100.0) -> None:
        super().__init__()
        if head_dims % 4:
            raise ValueError(f'RotaryEmbedding: heads of {head_dims} channels are impossible, a multiple of 4 is '
                             'needed; choose another num_heads.')
        self.register_buffer('periods', base**(torch.arange(head_dims // 4, dtype=torch.float32) * 4 / head_dims))

    def forward(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Sines and cosines (N, d) of a grid of patches, row by row, in the precision of the periods."""
        lines = [(torch.arange(size, dtype=self.periods.dtype, device=self.periods.device) + 0.5) / size * 2 - 1
                 for size in grid]
        places = torch.stack(torch.meshgrid(*lines, indexing='ij'), dim=-1).flatten(0, 1)
        angles = (2 * math.pi * places[:, :, None] / self.periods).flatten(1).tile(2)
        return angles.sin(), angles.cos()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate queries or keys of patches.

    Args:
        x: (B, heads, extra + N, d); the first tokens, which have no place, stay as they are.
        rotation: Sines and cosines, (N, d).
    """
    sin, cos = rotation
    extra, patches = x.split([x.shape[-2] - len(sin), len(sin)], dim=-2)
    first, second = patches.chunk(2, dim=-1)
    turned = patches * cos + torch.cat([-second, first], dim=-1) * sin
    return torch.cat([extra, turned.to(x.dtype)], dim=-2)

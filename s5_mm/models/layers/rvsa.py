"""Attention in windows that move, scale and turn with the image: RVSA (arXiv 2208.03987).

Shapes: B images, H x W patches, C channels, n heads of d channels, M x L windows of k x k patches.
"""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmpretrain.models.utils import LayerScale
from torch import Tensor, nn

from s5_mm.registry import MODELS

from .relative_attention import relative_scores


class Padding(NamedTuple):
    """Zeros around a map so that it becomes whole windows.

    Attributes:
        sides: Left, right, top, bottom.
        size: Rows and columns of the map with them.
    """

    sides: tuple[int, int, int, int]
    size: tuple[int, int]


class WindowSampler(nn.Module):
    """Where every head looks for the keys (or values) of each window.

    Args:
        embed_dims: C.
        num_heads: n.
        window: k.
    """

    def __init__(self, embed_dims: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.num_heads, self.window = num_heads, window
        self.offsets, self.scales, self.angles = (
            nn.Conv2d(embed_dims, outputs * num_heads, 1) for outputs in (2, 2, 1))

    def forward(self, x: Tensor, divisors: tuple[int, int]) -> Tensor:
        """Places to sample at.

        Args:
            x: The padded map, (B, C, M k, L k).
            divisors: What offsets in x and in y are divided by.

        Returns:
            (B n, M k, L k, 2), x and y in [-1, 1] from the first to the last patch.
        """
        pooled = F.leaky_relu(F.avg_pool2d(x, self.window), 0.01)
        size = pooled.shape[2:]
        offsets, scales = (conv(pooled).reshape(-1, 2, *size) for conv in (self.offsets, self.scales))
        angles = self.angles(pooled).reshape(-1, *size)
        centers_x, centers_y = (
            torch.linspace(-1, 1, side, dtype=x.dtype, device=x.device).unflatten(0, (-1, self.window)).mean(1)
            for side in (x.shape[3], x.shape[2]))
        inside = torch.arange(self.window, dtype=x.dtype, device=x.device) - (self.window - 1) / 2
        # (B n, M, L, k rows, k columns): places in an upright window, seen from its center
        across = inside * 2 / (x.shape[3] - 1) * (scales[:, 0, :, :, None, None] + 1)
        down = inside[:, None] * 2 / (x.shape[2] - 1) * (scales[:, 1, :, :, None, None] + 1)
        sin, cos = angles.sin()[..., None, None], angles.cos()[..., None, None]
        turned = (across * cos - down * sin, down * cos + across * sin)
        places = [place + (center + offsets[:, i] / divisors[i])[..., None, None]
                  for i, (place, center) in enumerate(zip(turned, (centers_x, centers_y[:, None]), strict=True))]
        return torch.stack(places, dim=-1).transpose(2, 3).flatten(3, 4).flatten(1, 2)


@MODELS.register_module()
class RVSA(nn.Module):
    """Attention of each window of queries among as many keys, sampled where a small network says.

    As published: zeros of the padding take part as keys; offsets in x are divided by the number of whole windows in a
    *column*, those in y by that in a row, so maps must have at least ``window`` patches on each side.

    Args:
        embed_dims: C.
        num_heads: n.
        drop_path: Drop path rate of the result, in [0, 1).
        qkv_bias: Whether query, key and value have a bias.
        layer_scale: Initial value of the layer scale; 0: none.
        window: k.
        separate: Whether keys and values are sampled at places of their own (the variant with diamond-shaped windows).

    Attributes:
        rel_pos_h: (2 k - 1, d).
        rel_pos_w: Likewise.
        relative_position_bias_table: ((2 k - 1)^2, n).
    """

    def __init__(self, embed_dims: int, num_heads: int, drop_path: float = 0.0, qkv_bias: bool = True,
                 layer_scale: float = 0.0, window: int = 7, separate: bool = False) -> None:
        super().__init__()
        self.num_heads, self.head_dims, self.window = num_heads, embed_dims // num_heads, window
        self.rel_pos_h, self.rel_pos_w = (nn.Parameter(torch.zeros(2 * window - 1, self.head_dims)) for _ in range(2))
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1)**2, num_heads))
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.sampling = WindowSampler(embed_dims, num_heads, window)
        self.sampling_v = WindowSampler(embed_dims, num_heads, window) if separate else None
        self.gamma1 = LayerScale(embed_dims, layer_scale) if layer_scale else nn.Identity()
        self.out_drop = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend in windows.

        Args:
            x: Patches, (B, H W, C); no other tokens.
            grid: H and W.

        Returns:
            (B, H W, C).

        Raises:
            ValueError: A side has fewer patches than a window.
        """
        if min(grid) < self.window:
            raise ValueError(f'RVSA: a map of {grid[1]}x{grid[0]} patches is smaller than its window of {self.window}, '
                             'for which RVSA is not defined (it divides by zero); give larger images.')
        padding = self._padding(grid)
        padded = F.pad(x.transpose(1, 2).unflatten(2, grid), padding.sides)
        divisors = (grid[0] // self.window, grid[1] // self.window)
        # (3, B n, d, M k, L k)
        q, k, v = F.pad(self.qkv(x).transpose(1, 2).unflatten(2, grid), padding.sides).unflatten(
            1, (3, self.num_heads, self.head_dims)).transpose(0, 1).flatten(1, 2)
        places = self.sampling(padded, divisors)
        k = F.grid_sample(k, places, align_corners=True)
        v = F.grid_sample(v, places if self.sampling_v is None else self.sampling_v(padded, divisors),
                          align_corners=True)
        x = self._attend(*map(self._windows, (q, k, v)))
        return self.out_drop(self.gamma1(self.proj(self._map(x, padding, grid))))

    def _padding(self, grid: tuple[int, int]) -> Padding:
        missing = [-side % self.window for side in grid]
        (top, bottom), (left, right) = ((total // 2, total - total // 2) for total in missing)
        return Padding((left, right, top, bottom), (grid[0] + missing[0], grid[1] + missing[1]))

    def _windows(self, x: Tensor) -> Tensor:
        """(B n, d, M k, L k) -> (B M L, n, k k, d)."""
        k = self.window
        x = x.unflatten(0, (-1, self.num_heads)).unflatten(4, (-1, k)).unflatten(3, (-1, k))
        return x.permute(0, 3, 5, 1, 4, 6, 2).flatten(4, 5).flatten(0, 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention with positions; each (windows, n, k k, d)."""
        added = relative_scores(q, self.rel_pos_h, self.rel_pos_w, (self.window, self.window)) + self._bias()
        return F.scaled_dot_product_attention(q, k, v, attn_mask=added)

    def _bias(self) -> Tensor:
        """(n, k k, k k) of the table, an entry for each distance in rows and columns."""
        places = torch.arange(self.window, device=self.rel_pos_h.device)
        line = places[:, None] - places + self.window - 1
        index = line[:, None, :, None] * (2 * self.window - 1) + line[:, None]
        return self.relative_position_bias_table[index.flatten(2).flatten(0, 1)].permute(2, 0, 1)

    def _map(self, x: Tensor, padding: Padding, grid: tuple[int, int]) -> Tensor:
        """(B M L, n, k k, d) -> patches without padding (B, H W, C)."""
        k, (rows, columns) = self.window, padding.size
        x = x.unflatten(2, (k, k)).unflatten(0, (-1, rows // k, columns // k))
        x = x.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4).flatten(1, 2)
        left, _, top, _ = padding.sides
        return x[:, top:top + grid[0], left:left + grid[1]].flatten(1, 2)

"""Multi-head self-attention of a ViT block with decomposed relative positions.

Shapes: B images, H x W patches, d channels of a head.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s5_mm.registry import MODELS

from .self_attention import SelfAttention


@MODELS.register_module()
class RelativeAttention(SelfAttention):
    """Full attention of RVSA (arXiv 2208.03987) and MTP (arXiv 2403.13430).

    To the score of two patches that lie i rows and j columns apart two products are added: of the *scaled* query with
    entry i of one table and with entry j of the other. There are no other tokens than patches.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        grid: Rows and columns of patches that the tables are for. For other grids they are resized as MTP does when it
            loads them: as an image of entries and channels, bicubically.
        drop_path: See :class:`SelfAttention`.
        qkv_bias: Likewise.
        layer_scale: Likewise.

    Attributes:
        full_rel_pos_h: (2 rows - 1, d).
        full_rel_pos_w: (2 columns - 1, d).
    """

    def __init__(self, embed_dims: int, num_heads: int, grid: tuple[int, int], drop_path: float = 0.0,
                 qkv_bias: bool = True, layer_scale: float = 0.0) -> None:
        super().__init__(embed_dims, num_heads, drop_path, qkv_bias, layer_scale)
        self.full_rel_pos_h, self.full_rel_pos_w = (
            nn.Parameter(torch.zeros(2 * size - 1, self.head_dims)) for size in grid)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend among all patches (B, H W, C) of a grid (H, W)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, self.head_dims)).permute(2, 0, 3, 1, 4)
        tables = (resize_entries(table, size) for table, size in zip(
            (self.full_rel_pos_h, self.full_rel_pos_w), grid, strict=True))
        added = relative_scores(q * self.head_dims**-0.5, *tables, grid)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=added)
        return self.out_drop(self.gamma1(self.proj(x.transpose(1, 2).flatten(2))))

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Resize tables of another grid, by name in this layer."""
        own = {name: value.shape for name, value in self.named_parameters() if name.startswith('full_rel_pos_')}
        return {name: resize_entries(value, (own[name][0] + 1) // 2) if name in own and value.ndim == 2 else value
                for name, value in weights.items()}


def resize_entries(table: Tensor, size: int) -> Tensor:
    """Relative positions (2 n - 1, d) for another number of rows or columns."""
    if len(table) == 2 * size - 1:
        return table
    return F.interpolate(table[None, None], (2 * size - 1, table.shape[1]), mode='bicubic')[0, 0]


def relative_scores(q: Tensor, rows: Tensor, columns: Tensor, grid: tuple[int, int]) -> Tensor:
    """What relative positions add to the scores of attention.

    Args:
        q: Queries (B, heads, H W, d).
        rows: (2 H - 1, d), an entry for each distance in rows.
        columns: (2 W - 1, d).
        grid: H and W.

    Returns:
        (B, heads, H W, H W).
    """
    q = q.unflatten(2, grid)
    by_row = torch.einsum('bnhwd,hkd->bnhwk', q, rows[_distances(grid[0], q.device)])
    by_column = torch.einsum('bnhwd,wkd->bnhwk', q, columns[_distances(grid[1], q.device)])
    return (by_row[..., None] + by_column[..., None, :]).flatten(4).flatten(2, 3)


def _distances(size: int, device: torch.device) -> Tensor:
    """Entry of a table for each query and key of a line, (size, size)."""
    places = torch.arange(size, device=device)
    return places[:, None] - places + size - 1

"""ViT whose positions are measured in meters on the ground."""
import torch
from torch import Tensor

from s5_mm.registry import MODELS

from .vit import ViT


@MODELS.register_module()
class ScaleMAE(ViT):
    """Scale-MAE (arXiv 2212.14532): sines of positions times the ground sample distance in the place of a table.

    The first half of the channels stands for the column of a patch, the second for its row; the class token has no
    position. The table that files hold is not used, as published.

    Args:
        gsd: Ground sample distance of the images, in the unit of the pre-training: meters a pixel times the published
            ratio. It is that of the images as the encoder gets them, after any resizing.
        kwargs: As :class:`ViT` takes them, but for ``position_table``.

    Raises:
        ValueError: ``gsd`` is not positive, or the width is no multiple of 4.
    """

    def __init__(self, gsd: float = 1.0, **kwargs: object) -> None:
        super().__init__(position_table=None, may_drop=('pos_embed', 'mask_token_decoder', 'fpn', 'fcn'), **kwargs)
        if gsd <= 0:
            raise ValueError(f'ScaleMAE: gsd is {gsd}; give meters a pixel, above 0.')
        if self.embed_dims % 4:
            raise ValueError(f'ScaleMAE: embed_dims is {self.embed_dims}; give a multiple of 4.')
        self.gsd = gsd

    def embed(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """See :meth:`ViT.embed`."""
        return super().embed(x + self.positions(grid, x.device), grid)

    def positions(self, grid: tuple[int, int], device: torch.device) -> Tensor:
        """Sines and cosines (N, embed_dims) of a grid of patches, in fp32 as published."""
        quarter = self.embed_dims // 4
        frequencies = 1 / 10000**(torch.arange(quarter, dtype=torch.float32, device=device) / quarter)
        rows, columns = (torch.arange(size, dtype=torch.float32, device=device) * self.gsd for size in grid)
        by_row, by_column = (torch.cat([angles.sin(), angles.cos()], dim=1) for angles in (
            line[:, None] * frequencies for line in (rows, columns)))
        return torch.cat([by_column.repeat(grid[0], 1), by_row.repeat_interleave(grid[1], 0)], dim=1)

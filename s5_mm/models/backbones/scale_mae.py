"""ViT whose positions are measured in meters on the ground."""
import torch
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.routing import Route

from .vit import ViT


@MODELS.register_module()
class ScaleMAE(ViT):
    """Scale-MAE (arXiv 2212.14532): sines of positions times the ground sample distance in the place of a table.

    The first half of the channels stands for the column of a patch, the second for its row; the class token has no
    position. The table that files hold is not used, as published.

    Args:
        gsd: Ground sample distance of images whose route does not tell theirs, in the unit of the pre-training: meters
            a pixel times the published ratio. It is that of the images as the encoder gets them, after any resizing.
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
        self._told: tuple[float, ...] | None = None

    def forward(self, x: Tensor, route: Route | None = None) -> tuple[Tensor, ...]:
        """See :class:`Encoder`; ``gsd`` of the route, of each image, goes before that of the encoder."""
        self._told = None if route is None else (route if self.experts is None else route.grouped()).gsd
        return super().forward(x, route)

    def embed(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """See :meth:`ViT.embed`."""
        told = (self.gsd, ) if self._told is None else self._told
        different = dict.fromkeys(told)
        tables = {gsd: self.positions(grid, gsd, x.device) for gsd in different}
        # One table for all images, or one for each.
        return super().embed(x + torch.stack([tables[gsd] for gsd in (different if len(different) == 1 else told)]),
                             grid)

    @staticmethod
    def _angles(size: int, gsd: float, quarter: int, device: torch.device) -> Tensor:
        frequencies = 1 / 10000**(torch.arange(quarter, dtype=torch.float32, device=device) / quarter)
        angles = (torch.arange(size, dtype=torch.float32, device=device) * gsd)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def positions(self, grid: tuple[int, int], gsd: float, device: torch.device) -> Tensor:
        """Sines and cosines (N, embed_dims) of a grid of patches, in fp32 as published."""
        by_row, by_column = (self._angles(size, gsd, self.embed_dims // 4, device) for size in grid)
        return torch.cat([by_column.repeat(grid[0], 1), by_row.repeat_interleave(grid[1], 0)], dim=1)

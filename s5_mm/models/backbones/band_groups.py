"""ViT that sees groups of bands as tokens of their own.

Shapes: B images, G groups, N patches, C channels, E of them for the group.
"""
from collections.abc import Sequence

import torch
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmengine.model.weight_init import trunc_normal_
from torch import Tensor, nn

from s5_mm.models.layers import resize_table
from s5_mm.registry import MODELS

from .vit import ViT


class GroupPatchEmbed(nn.ModuleList):
    """A patch embedding for each group of bands.

    Args:
        groups: Indices of bands.
        embed_dims: C.
        patch_size: Side of a patch in pixels.
    """

    def __init__(self, groups: Sequence[Sequence[int]], embed_dims: int, patch_size: int) -> None:
        super().__init__(PatchEmbed(len(bands), embed_dims, kernel_size=patch_size, stride=patch_size)
                         for bands in groups)
        self.groups = [list(bands) for bands in groups]

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patches (B, G N, C), group by group, and their grid."""
        embedded = [embed(x[:, bands]) for embed, bands in zip(self, self.groups, strict=True)]
        return torch.cat([patches for patches, _ in embedded], dim=1), embedded[0][1]


@MODELS.register_module()
class BandGroupViT(ViT):
    """SatMAE++ on fMoW-Sentinel (arXiv 2403.05419): tokens of each group of bands, all in one sequence.

    The authors define no dense features; here a map is the mean over the groups of a block's tokens.

    Args:
        groups: Indices of the bands of each group.
        group_dims: E, channels of a position that tell the group; the others tell the place.
        kwargs: As :class:`ViT` takes them, with a class token.
    """

    def __init__(self, groups: Sequence[Sequence[int]], group_dims: int = 256, **kwargs: object) -> None:
        super().__init__(class_token=True, in_channels=sum(map(len, groups)), **kwargs)
        self.patch_embed = GroupPatchEmbed(groups, self.embed_dims, self.patch_size)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.pos_embed.shape[1], self.embed_dims - group_dims))
        self.channel_embed = nn.Parameter(torch.zeros(1, len(groups), group_dims))
        self.channel_cls_embed = nn.Parameter(torch.zeros(1, 1, group_dims))
        self._freeze()

    def init_weights(self) -> None:
        """See :meth:`ViT.init_weights`; groups start as positions do."""
        for table in (self.channel_embed, self.channel_cls_embed):
            trunc_normal_(table, std=0.02)
        super().init_weights()

    def embed(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Class token and patches with places and groups, (B, 1 + G N, C), of patches (B, G N, C)."""
        table = resize_table(self.pos_embed, self.patch_resolution, grid, self.position_table, 1)
        entry, places = table[:, :1], table[:, 1:]
        groups = self.channel_embed.shape[1]
        places = torch.cat([places.repeat(1, groups, 1),
                            self.channel_embed.repeat_interleave(places.shape[1], dim=1)], dim=2)
        token = self.cls_token + torch.cat([entry, self.channel_cls_embed], dim=2)
        return torch.cat([token.expand(x.shape[0], -1, -1), x + places], dim=1)

    def patches_of(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Mean over the groups, (B, N, C)."""
        return x[:, 1:].unflatten(1, (self.channel_embed.shape[1], -1)).mean(1)

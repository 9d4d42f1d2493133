"""Deformable convolution of InternImage (DCNv3, arXiv 2211.05778) in plain torch.

Shapes: B images of H x W cells, C channels in G groups, P = 9 points of a 3 x 3 kernel.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DCNv3(nn.Module):
    """A weighted sum of nine bilinear samples a cell and group, whose places and weights the map itself tells.

    Args:
        channels: C.
        groups: G.
        offset_scale: Factor of the kernel's size and of the predicted offsets.
        norm_eps: Of the layer norm before them.
    """

    def __init__(self, channels: int, groups: int, offset_scale: float = 1.0, norm_eps: float = 1e-6) -> None:
        super().__init__()
        self.groups, self.offset_scale = groups, offset_scale
        self.dw_conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=norm_eps)
        self.offset, self.mask = nn.Linear(channels, groups * 18), nn.Linear(channels, groups * 9)
        self.input_proj, self.output_proj = nn.Linear(channels, channels), nn.Linear(channels, channels)
        for layer in (self.offset, self.mask):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Transform a map (B, H, W, C)."""
        hints = F.gelu(self.norm(self.dw_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)))
        offsets = self.offset(hints).unflatten(-1, (self.groups, 9, 2))
        weights = self.mask(hints).unflatten(-1, (self.groups, 9)).softmax(-1)
        return self.output_proj(deformable_sum(self.input_proj(x), offsets, weights, self.offset_scale))


def deformable_sum(x: Tensor, offsets: Tensor, weights: Tensor, scale: float) -> Tensor:
    """The sum of samples; outside of the map there are zeros.

    Args:
        x: (B, H, W, C).
        offsets: (B, H, W, G, P, 2), x and y in cells from the points of the kernel, which go down its columns.
        weights: (B, H, W, G, P).
        scale: Factor of the kernel and of the offsets.

    Returns:
        (B, H, W, C).
    """
    height, width, groups = offsets.shape[1:4]
    # Relative to the map with a border of one cell and in fp32, as published.
    sides = torch.tensor([width, height], dtype=torch.float32, device=x.device)
    step = torch.arange(-1, 2, dtype=torch.float32, device=x.device)
    kernel = torch.stack(torch.meshgrid(step, step, indexing='ij'), dim=-1).flatten(0, 1) / (sides + 2)
    columns, rows = (torch.arange(size, dtype=torch.float32, device=x.device) + 1.5 for size in (width, height))
    cells = torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)], dim=-1) / (sides + 2)
    places = cells[:, :, None, None] + kernel * scale + offsets * scale / (sides + 2)
    places = 2 * (places * (sides + 2) - 1) / sides - 1
    # (B G, H W, P, 2) and (B G, C / G, H, W)
    places, weights = (value.transpose(1, 3).transpose(2, 3).flatten(0, 1).flatten(1, 2) for value in (places, weights))
    grouped = x.permute(0, 3, 1, 2).unflatten(1, (groups, -1)).flatten(0, 1)
    sampled = F.grid_sample(grouped, places, align_corners=False)
    summed = (sampled * weights[:, None]).sum(-1)
    return summed.unflatten(0, (-1, groups)).flatten(1, 2).unflatten(2, (height, width)).permute(0, 2, 3, 1)

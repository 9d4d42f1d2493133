"""The ViT encoder: attention that materializes its weights, every block recomputed in the backward pass.

Parameters have the published names. Shapes: B images, N tokens, C channels.
"""
import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Attention(nn.Module):
    """Self-attention that asks for its weights, (B, N, N), too."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Attend among tokens (B, N, C)."""
        return self.attn(x, x, x, need_weights=True)[0]


class FFN(nn.Module):
    """Two linear layers; of the second, ``part`` channels are computed by the expert of the dataset, if any."""

    def __init__(self, channels: int, part: int, experts: int, drop_path: float) -> None:
        super().__init__()
        first = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU())
        self.layers = nn.ModuleList([first, nn.Linear(4 * channels, channels - part)])
        if experts:
            self.experts = nn.ModuleList([nn.Linear(4 * channels, part) for _ in range(experts)])
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, expert: int | None) -> Tensor:
        """Transform tokens (B, N, C) of one dataset."""
        hidden = self.layers[0](x)
        out = self.layers[1](hidden)
        if expert is not None:
            out = torch.cat([out, self.experts[expert](hidden)], dim=-1)
        return self.drop_path(out)


class Block(nn.Module):
    """Pre-norm block."""

    def __init__(self, channels: int, heads: int, **ffn: float) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(channels, eps=1e-5)
        self.attn = Attention(channels, heads)
        self.ln2 = nn.LayerNorm(channels, eps=1e-5)
        self.ffn = FFN(channels, **ffn)

    def forward(self, x: Tensor, expert: int | None) -> Tensor:
        """Transform tokens (B, N, C) of one dataset."""
        x = x + self.attn(self.ln1(x))
        return x + self.ffn(self.ln2(x), expert)


class MapNorm(nn.Module):
    """LayerNorm over the channels of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize a map (B, C, H, W)."""
        # In this layout the transposed convolution behind it has a fast backward pass.
        return self.ln(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()


class Encoder(nn.Module):
    """ViT with a pyramid of strides 4, 2, 1 and 1/2 tokens.

    Args:
        embed_dims: C.
        num_layers: Number of blocks.
        num_heads: Of the attention.
        out_indices: Four blocks whose outputs become the pyramid.
        img_size: Side of the images in pixels.
        part: Channels of an expert; 0 for none.
        experts: Number of datasets with an expert of their own.
        drop_path: Of the last block, rising linearly.
    """

    def __init__(self, embed_dims: int, num_layers: int, num_heads: int, out_indices: tuple[int, ...], img_size: int,
                 part: int = 0, experts: int = 0, drop_path: float = 0.1) -> None:
        super().__init__()
        self.out_indices = out_indices
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))  # unused, as published
        self.pos_embed = nn.Parameter(torch.zeros(1, (img_size // 16)**2, embed_dims))
        self.patch_embed = nn.ModuleDict(dict(projection=nn.Conv2d(3, embed_dims, 16, stride=16)))
        rates = torch.linspace(0, drop_path, num_layers).tolist()
        self.layers = nn.ModuleList([
            Block(embed_dims, num_heads, part=part, experts=experts, drop_path=rate) for rate in rates])
        double = dict(kernel_size=2, stride=2)
        self.fpn1 = nn.Sequential(nn.ConvTranspose2d(embed_dims, embed_dims, **double), MapNorm(embed_dims), nn.GELU(),
                                  nn.ConvTranspose2d(embed_dims, embed_dims, **double))
        self.fpn2 = nn.Sequential(nn.ConvTranspose2d(embed_dims, embed_dims, **double))
        self.fpn4 = nn.MaxPool2d(2)

    def forward(self, images: Tensor, expert: int | None = None) -> list[Tensor]:
        """Pyramid of images (B, 3, H, W) of one dataset."""
        x = self.patch_embed['projection'](images)
        size = x.shape[2:]
        x = (x.flatten(2).transpose(1, 2) + self.pos_embed).contiguous()
        maps = []
        for i, block in enumerate(self.layers):
            x = checkpoint(block, x, expert, use_reentrant=False) if torch.is_grad_enabled() else block(x, expert)
            if i in self.out_indices:
                maps.append(x.transpose(1, 2).unflatten(2, size))
        return [self.fpn1(maps[0]), self.fpn2(maps[1]), maps[2], self.fpn4(maps[3])]

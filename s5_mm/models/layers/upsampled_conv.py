"""Convolution of maps of several sizes, as if all had been upsampled to the largest and concatenated.

Shapes: B images, C channels, O output channels, H x W the largest map, h x w a smaller one, k x k the kernel.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UpsampledConv2d(nn.Conv2d):
    """``Conv2d(torch.cat([maps[0], up(maps[1]), ...], dim=1))`` without upsampling or concatenating.

    A convolution is a sum over the channels, and bilinear upsampling is linear and treats every channel alike. So the
    smaller maps' channels are mixed at their own size, (H W) / (h w) times cheaper, into one map for each of the k x k
    positions of the kernel; then two small matrices, one for the rows and one for the columns, upsample these, shift
    them to their positions and sum them up. The function is the same up to rounding, and so are name and shape of the
    parameters. Neither the upsampled maps nor their concatenation are kept for the backward pass.

    On tensors without values (torch's ``meta`` device), which are there to be counted, it computes as it is defined.

    Args:
        align_corners: Of the upsampling.
        args: As ``Conv2d`` takes them; an odd kernel with the padding that keeps the size, stride 1, one group.
        kwargs: Likewise.

    Raises:
        ValueError: The convolution changes the size of its map or has groups.
    """

    def __init__(self, *args, align_corners: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        kept = tuple((side - 1) // 2 for side in self.kernel_size)
        plain = (self.padding, self.stride, self.dilation, self.groups, self.padding_mode)
        if plain != (kept, (1, 1), (1, 1), 1, 'zeros') or not all(side % 2 for side in self.kernel_size):
            raise ValueError(f'UpsampledConv2d: kernel_size {self.kernel_size}, padding {self.padding}, stride '
                             f'{self.stride}, dilation {self.dilation}, groups {self.groups} and padding_mode '
                             f'{self.padding_mode!r} are impossible; the kernel must be odd, the padding zeros of half '
                             'of it, the others 1.')
        self.align_corners = align_corners

    @classmethod
    def replacing(cls, conv: nn.Conv2d, align_corners: bool = False) -> 'UpsampledConv2d':
        """One with the parameters of a plain convolution."""
        # On the meta device no random numbers are drawn, so that a seed gives the weights that it always gave.
        own = cls(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation,
                  conv.groups, conv.bias is not None, conv.padding_mode, device='meta', align_corners=align_corners)
        own.weight, own.bias = conv.weight, conv.bias
        return own

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Convolve.

        Args:
            maps: Maps (B, C, h, w) whose channels add up to ``in_channels``; the first is the largest.

        Returns:
            (B, O, H, W), of the size of the first map.
        """
        size = maps[0].shape[2:]
        if maps[0].is_meta:
            full = [F.interpolate(x, size, mode='bilinear', align_corners=self.align_corners) for x in maps]
            return super().forward(torch.cat(full, dim=1))
        weights = self.weight.split([x.shape[1] for x in maps], dim=1)
        out = self._conv_forward(maps[0], weights[0], self.bias)
        for x, weight in zip(maps[1:], weights[1:], strict=True):
            out = out + self._upsampled(x, weight, size)
        return out

    def _upsampled(self, x: Tensor, weight: Tensor, size: torch.Size) -> Tensor:
        """``conv(up(x))`` of a map (B, C, h, w) with kernels (O, C, k, k), in the given size."""
        (height, width), (rows, columns) = x.shape[2:], self.kernel_size
        kernels = weight.permute(2, 0, 3, 1).reshape(-1, x.shape[1])
        mixed = kernels.expand(len(x), -1, -1) @ x.flatten(2)
        # (B, rows O columns, h w) -> (B, O, rows h, columns w), what the two matrices sum over
        mixed = mixed.reshape(len(x), rows, -1, columns, height, width).permute(0, 2, 1, 4, 3, 5)
        mixed = mixed.reshape(*mixed.shape[:2], rows * height, columns * width)
        across = self._positions(width, size[1], columns, mixed).T
        return self._positions(height, size[0], rows, mixed) @ (mixed @ across)

    def _positions(self, old: int, new: int, kernel: int, like: Tensor) -> Tensor:
        """Matrix (new, kernel * old) that upsamples one line for each position of the kernel, shifts and sums."""
        line = torch.eye(old, dtype=torch.float32, device=like.device)[None]
        up = F.interpolate(line, new, mode='linear', align_corners=self.align_corners)[0].T
        padded = F.pad(up, (0, 0, kernel // 2, kernel // 2))
        return torch.cat([padded[shift:shift + new] for shift in range(kernel)], dim=1).to(like.dtype)

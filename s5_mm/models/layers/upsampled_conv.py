"""Convolution of maps of several sizes, as if all had been upsampled to the largest and concatenated.

Shapes: B images, C channels, O output channels, H x W the largest map, h x w a smaller one, k x k the kernel.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def upsampled_conv2d(conv: nn.Conv2d, maps: Sequence[Tensor], align_corners: bool = False) -> Tensor:
    """``conv(torch.cat([maps[0], up(maps[1]), ...], dim=1))`` without upsampling or concatenating.

    A convolution is a sum over the channels, and bilinear upsampling is linear and treats every channel alike. So the
    smaller maps' channels are mixed at their own size, (H W) / (h w) times cheaper, into one map for each of the k x k
    positions of the kernel; then two small matrices, one for the rows and one for the columns, upsample these, shift
    them to their positions and sum them up. The function is the same up to rounding. Neither the upsampled maps nor
    their concatenation are kept for the backward pass.

    On meta tensors (counting of operations) the reference is computed.

    Args:
        conv: An odd kernel with the zero padding that keeps the size, stride 1, one group.
        maps: Maps (B, C, h, w) whose channels add up to ``conv.in_channels``; the first is the largest.
        align_corners: Of the upsampling.

    Returns:
        (B, O, H, W), of the size of the first map.

    Raises:
        ValueError: The convolution changes the size of its map or has groups.
    """
    _check(conv)
    size = maps[0].shape[2:]
    if maps[0].is_meta:
        return conv(torch.cat([F.interpolate(x, size, mode='bilinear', align_corners=align_corners) for x in maps], 1))
    weights = conv.weight.split([x.shape[1] for x in maps], dim=1)
    out = F.conv2d(maps[0], weights[0], conv.bias, padding=conv.padding)
    for x, weight in zip(maps[1:], weights[1:], strict=True):
        out = out + _upsampled(x, weight, size, align_corners)
    return out


def _check(conv: nn.Conv2d) -> None:
    kept = tuple((side - 1) // 2 for side in conv.kernel_size)
    plain = (conv.padding, conv.stride, conv.dilation, conv.groups, conv.padding_mode)
    if plain != (kept, (1, 1), (1, 1), 1, 'zeros') or not all(side % 2 for side in conv.kernel_size):
        raise ValueError(f'upsampled_conv2d: kernel_size {conv.kernel_size}, padding {conv.padding}, stride '
                         f'{conv.stride}, dilation {conv.dilation}, groups {conv.groups} and padding_mode '
                         f'{conv.padding_mode!r} are impossible; the kernel must be odd, the padding zeros of half of '
                         'it, the others 1.')


def _upsampled(x: Tensor, weight: Tensor, size: torch.Size, align_corners: bool) -> Tensor:
    """``conv(up(x))`` of a map (B, C, h, w) with kernels (O, C, k, k), in the given size."""
    (height, width), (rows, columns) = x.shape[2:], weight.shape[2:]
    kernels = weight.permute(2, 0, 3, 1).reshape(-1, x.shape[1])
    mixed = kernels.expand(x.shape[0], -1, -1) @ x.flatten(2)
    # (B, rows O columns, h w) -> (B, O, rows h, columns w), what the two matrices sum over
    mixed = mixed.reshape(x.shape[0], rows, -1, columns, height, width).permute(0, 2, 1, 4, 3, 5)
    mixed = mixed.reshape(*mixed.shape[:2], rows * height, columns * width)
    across = _positions(width, size[1], columns, align_corners, mixed).T
    return _positions(height, size[0], rows, align_corners, mixed) @ (mixed @ across)


def _positions(old: int, new: int, kernel: int, align_corners: bool, like: Tensor) -> Tensor:
    """Matrix (new, kernel * old) that upsamples one line for each position of the kernel, shifts and sums."""
    line = torch.eye(old, dtype=torch.float32, device=like.device)[None]
    up = F.interpolate(line, new, mode='linear', align_corners=align_corners)[0].T
    padded = F.pad(up, (0, 0, kernel // 2, kernel // 2))
    return torch.cat([padded[shift:shift + new] for shift in range(kernel)], dim=1).to(like.dtype)

"""Transposed convolution without overlap, as the sub-pixel convolution that it is."""
import torch
import torch.nn.functional as F
from torch import Tensor


def subpixel_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``conv_transpose2d`` with a square kernel whose side k is its stride.

    Every pixel becomes k x k pixels of its own: a 1 x 1 convolution to k k D channels, shuffled (Shi et al.,
    arXiv 1609.05158). A CPU computes that faster, channels-last maps above all, whose transposed convolution has a slow
    backward pass.

    Args:
        x: (B, C, h, w).
        weight: (C, D, k, k).
        bias: (D, ) or none.

    Returns:
        (B, D, k h, k w).
    """
    channels, side = len(weight), weight.shape[-1]
    if x.device.type != 'cpu' or not x.numel():
        return torch.conv_transpose2d(x, weight, bias, stride=side)
    kernels = weight.permute(1, 2, 3, 0).reshape(-1, channels, 1, 1)
    return F.pixel_shuffle(torch.conv2d(x, kernels, None if bias is None else bias.repeat_interleave(side**2)), side)

"""A map whose upsampling waits for what is done with it.

Shapes: B images, C channels before, D after the transposed convolution, E after a 1 x 1 convolution behind it.
"""
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from .subpixel_conv import subpixel_conv
from .token_linear import linear


class DeferredUpsampling:
    """``conv(x)`` of a transposed convolution, computed when it is needed.

    The first thing that decoders do with a level of a pyramid is a 1 x 1 convolution to fewer channels. Two linear
    operations in a row are one: the product of their weights, which costs C D E for each position of the kernel and not
    for each pixel, goes from C to E channels directly, and the map with D channels never exists. Any other function of
    torch gets the map itself, so that this can stand wherever a tensor does that is not written to.

    Args:
        x: (B, C, h, w); in any layout, what is made of it is contiguous in memory.
        conv: The transposed convolution; of a square kernel whose side is its stride, without padding.
    """

    def __init__(self, x: Tensor, conv: nn.ConvTranspose2d) -> None:
        self.x, self.conv = x.contiguous(), conv
        self._full: Tensor | None = None

    def full(self) -> Tensor:
        """The map, (B, D, H, W)."""
        if self._full is None:
            self._full = subpixel_conv(self.x, self.conv.weight, self.conv.bias)
        return self._full

    def convolved(self, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """``conv2d(self.full(), weight, bias)`` with 1 x 1 kernels (E, D, 1, 1), in one step where that is cheaper."""
        pixels = self.x.shape[0] * self.x.shape[2] * self.x.shape[3]
        # The product of the weights costs as much as C to D channels do for E pixels. Tensors without values are there
        # to be counted, as the model is defined.
        if pixels <= len(weight) or self.x.is_meta or self._full is not None:
            return torch.conv2d(self.full(), weight, bias)
        own, kernel = weight[:, :, 0, 0], self.conv.weight
        # The positions of the kernel are the tokens.
        merged = linear(kernel.flatten(2).transpose(1, 2), own).transpose(1, 2).unflatten(2, kernel.shape[2:])
        if self.conv.bias is not None:
            bias = own @ self.conv.bias if bias is None else own @ self.conv.bias + bias
        return subpixel_conv(self.x, merged, bias)

    def __getitem__(self, index: slice | Sequence[int]) -> 'DeferredUpsampling':
        """Some of the images."""
        return type(self)(self.x[index], self.conv)

    def split(self, sizes: Sequence[int]) -> list['DeferredUpsampling']:
        """Groups of images."""
        return [type(self)(part, self.conv) for part in self.x.split(sizes)]

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name in ('x', 'conv', '_full'):  # asked for by copies that are not filled yet
            raise AttributeError(name)
        return getattr(self.full(), name)

    @classmethod
    def __torch_function__(cls, func: Callable, types: Sequence[type], args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        """Called by torch's functions that get one of these among their arguments."""
        if func is torch.conv2d and isinstance(args[0], cls) and not kwargs and _is_pointwise(*args[1:]):
            return args[0].convolved(*args[1:3])
        args, kwargs = tree_map_only(cls, cls.full, (args, kwargs or {}))
        return func(*args, **kwargs)


def _is_pointwise(weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                  groups: int = 1) -> bool:
    return weight.shape[2:] == (1, 1) and stride in (1, (1, 1)) and padding in (0, (0, 0), 'valid') and groups == 1

"""Adaptive average pooling for maps whose size is not known yet."""
import torch
import torch.nn.functional as F
from torch import Tensor

from .exporting import is_exporting


def adaptive_avg_pool2d(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Means over ``size`` parts of maps, which overlap where the sides do not divide.

    torch's function, but while a program is exported: there its windows are fixed to the size of the example, so the
    same means are written as two matrix products, one for the rows and one for the columns, for any size.

    Args:
        maps: (B, C, H, W).
        size: Rows and columns of the result.

    Returns:
        (B, C, *size).
    """
    if not is_exporting():
        return F.adaptive_avg_pool2d(maps, size)
    rows, columns = (_parts(old, new, maps) for old, new in zip(maps.shape[2:], size, strict=True))
    return rows @ maps @ columns.T


def _parts(old: int, new: int, like: Tensor) -> Tensor:
    """Matrix (new, old) of means: part i is from ``floor(i old / new)`` to ``ceil((i + 1) old / new)``."""
    part = torch.arange(new, device=like.device)[:, None]
    place = torch.arange(old, device=like.device)
    inside = ((place + 1) * new > part * old) & (place * new < (part + 1) * old)
    inside = inside.to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)

"""Tables of positions for grids of other sizes than they were learned for."""
import torch
import torch.nn.functional as F
from torch import Tensor

from .exporting import is_exporting

# How published codes resize their tables; all bicubically.
RULES = ('bicubic', 'antialias', 'align_corners', 'offset')


def resize_table(table: Tensor, old: tuple[int, int], new: tuple[int, int], rule: str = 'bicubic',
                 extra: int = 0) -> Tensor:
    """A position table for another grid of patches.

    Args:
        table: (1, extra + N, C), N patches row by row.
        old: Rows and columns of the table.
        new: Rows and columns that are wanted.
        rule: ``'bicubic'``: plain. ``'antialias'``: with a low-pass filter, as DINOv2 with registers.
            ``'align_corners'``: corner entries stay, as in Prithvi. ``'offset'``: by the factors (n + 0.1) / old, as
            DINOv2 without registers; the entries are shifted a little.
        extra: Entries of tokens that have no place; they stay.
    """
    # A program for any size has no such branch; bicubic resizing to the same size changes nothing.
    if not is_exporting() and old == new:
        return table
    # In fp32 whatever the model's precision, as published.
    first, patches = table[:, :extra].float(), table[:, extra:].float()
    patches = patches.unflatten(1, old).permute(0, 3, 1, 2)
    if rule == 'offset':
        factors = tuple((n + 0.1) / m for n, m in zip(new, old, strict=True))
        resized = F.interpolate(patches, scale_factor=factors, mode='bicubic')
    else:
        resized = F.interpolate(patches, new, mode='bicubic', antialias=rule == 'antialias',
                                align_corners=rule == 'align_corners')
    return torch.cat([first, resized.flatten(2).transpose(1, 2)], dim=1).to(table.dtype)

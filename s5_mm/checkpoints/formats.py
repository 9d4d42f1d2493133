"""Naming styles of ViT encoders, as tables.

A table's rows are pairs of patterns, theirs and ours: the beginning of a name, in which ``*`` stands for a part without
dots. The first row that fits a name renames it; read from right to left a table gives the way back.
"""
import functools
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

Rows = tuple[tuple[str, str], ...]
PATCH, TABLE = 'patch_embed.projection.weight', 'pos_embed'


class Format(NamedTuple):
    """A naming style of encoder weights.

    Attributes:
        name: How messages call it.
        needs: Names that only this style has together; what stands before them is the prefix of the encoder. The first
            is the weight of the attention's input layer, (3 C, C).
        rows: Names of theirs and of ours. What no row names is no part of our encoder.
        lacks: Pattern of our parameters that such a file never holds.
        class_entry: Whether the position table has one entry more than a square number; ``None``: either.
    """

    name: str
    needs: tuple[str, ...]
    rows: Rows
    lacks: str | None = None
    class_entry: bool | None = None


def same(*patterns: str) -> Rows:
    """Rows of names that are equal in both styles."""
    return tuple((pattern, pattern) for pattern in patterns)


PYRAMID = r'^pyramid\.'
COMMON = same('pos_embed', 'patch_embed.projection.', 'layers.*.ln1.', 'layers.*.ln2.', 'layers.*.ffn.layers.0.0.',
              'layers.*.ffn.layers.1.')
QKV = same('layers.*.attn.qkv.', 'layers.*.attn.proj.')
FUSED = (('layers.*.attn.attn.in_proj_', 'layers.*.attn.qkv.'), ('layers.*.attn.attn.out_proj.', 'layers.*.attn.proj.'))
EXPERTS = same('layers.*.ffn.experts.*.')

OURS = Format('s5_mm', ('layers.0.attn.qkv.weight', 'pyramid.upsample_4x.0.weight'),
              (*COMMON, *QKV, *EXPERTS, *same('pyramid.')))
PUBLISHED = Format(
    'published S5',
    ('layers.0.attn.attn.in_proj_weight', ),
    (*COMMON, *FUSED, *EXPERTS, ('fpn1.1.ln.', 'pyramid.upsample_4x.1.'), ('fpn1.', 'pyramid.upsample_4x.'),
     ('fpn2.', 'pyramid.upsample_2x.')),
    class_entry=False)
FORMATS = (
    OURS,
    PUBLISHED,
    Format(
        'MAE / timm ViT',
        ('blocks.0.attn.qkv.weight', ),
        (('pos_embed', 'pos_embed'), ('patch_embed.proj.', 'patch_embed.projection.'),
         ('blocks.*.norm1.', 'layers.*.ln1.'), ('blocks.*.norm2.', 'layers.*.ln2.'),
         ('blocks.*.attn.qkv.', 'layers.*.attn.qkv.'), ('blocks.*.attn.proj.', 'layers.*.attn.proj.'),
         ('blocks.*.mlp.fc1.', 'layers.*.ffn.layers.0.0.'), ('blocks.*.mlp.fc2.', 'layers.*.ffn.layers.1.')),
        lacks=PYRAMID),
    Format('mmpretrain ViT', ('layers.0.attn.qkv.weight', ), (*COMMON, *QKV), lacks=PYRAMID),
    Format('mmseg ViT', ('layers.0.attn.attn.in_proj_weight', ), (*COMMON, *FUSED), lacks=PYRAMID, class_entry=True),
)
MARKS = tuple(dict.fromkeys(style.needs[0] for style in FORMATS))


def recognize(weights: Mapping[str, Tensor]) -> list[tuple[Format, str]]:
    """Find the plain ViT encoders in a file by names and shapes.

    Args:
        weights: The file's; values that are no tensors do not count.

    Returns:
        One (format, prefix) for each encoder, e.g. ``(published S5, 'module.encoder.')``.
    """
    prefixes = [name.removesuffix(mark) for name in weights for mark in MARKS
                if name == mark or name.endswith('.' + mark)]
    styles = ((next((style for style in FORMATS if _is(style, weights, prefix)), None), prefix) for prefix in prefixes)
    return [(style, prefix) for style, prefix in styles if style is not None]


def _is(style: Format, weights: Mapping[str, Tensor], prefix: str) -> bool:
    """Whether the encoder at ``prefix`` has this style's names, and shapes of a plain ViT."""
    if not all(prefix + name in weights for name in style.needs):
        return False
    patch = weights.get(prefix + rename(PATCH, inverse(style.rows)))
    fused = weights[prefix + style.needs[0]]
    if not isinstance(patch, Tensor) or patch.ndim != 4 or fused.shape != (3 * patch.shape[0], patch.shape[0]):
        return False
    table = weights.get(prefix + TABLE)
    if table is None:
        return True
    if table.ndim != 3 or table.shape[2] != patch.shape[0]:
        return False
    return style.class_entry in (None, has_class_entry(table.shape[1]))


def has_class_entry(entries: int) -> bool:
    """Whether a position table of so many entries is square but for one."""
    return math.isqrt(entries)**2 != entries and math.isqrt(entries - 1)**2 == entries - 1


def rename(name: str, rows: Rows) -> str | None:
    """A name by a table, from left to right.

    Args:
        name: Without prefix.
        rows: The table.

    Returns:
        The other side's name; ``None`` if no row fits.
    """
    for pattern, other in rows:
        match = _compiled(pattern).match(name)
        if match:
            for part in match.groups():
                other = other.replace('*', part, 1)
            return other + name[match.end():]
    return None


def inverse(rows: Rows) -> Rows:
    """The table for the way back."""
    return tuple((ours, theirs) for theirs, ours in rows)


def translate(name: str, style: Format) -> str:
    """Our name of a parameter; itself if the format's table does not know it.

    Args:
        name: Its name in the file, without the encoder's prefix.
        style: The file's format.
    """
    return rename(name, style.rows) or name


@functools.cache
def _compiled(pattern: str) -> re.Pattern:
    return re.compile(re.escape(pattern).replace(r'\*', r'([^.]+)'))

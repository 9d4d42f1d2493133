"""Naming styles of ViT encoder and of decoder weights, as tables.

Each format of an encoder says how it is recognised, how its names become ours, and which of our parameters it does not
hold.
"""
import re
from collections.abc import Iterable
from typing import NamedTuple


class Format(NamedTuple):
    """A naming style of encoder weights.

    Attributes:
        name: How messages call it.
        mark: A parameter name that only this style has; what stands before it is the prefix of the encoder.
        renames: ``(pattern, replacement)`` pairs, applied in order to a name without prefix.
        lacks: Pattern of our parameters that such a file never holds.
    """

    name: str
    mark: str
    renames: tuple[tuple[str, str], ...] = ()
    lacks: str | None = None


FORMATS = (
    Format('s5_mm', 'layers.0.attn.qkv.weight', lacks=r'^pyramid\.'),
    Format(
        'MAE / timm ViT',
        'blocks.0.attn.qkv.weight',
        renames=(
            (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
            (r'^blocks\.(\d+)\.norm([12])\.', r'layers.\1.ln\2.'),
            (r'^blocks\.(\d+)\.attn\.', r'layers.\1.attn.'),
            (r'^blocks\.(\d+)\.mlp\.fc1\.', r'layers.\1.ffn.layers.0.0.'),
            (r'^blocks\.(\d+)\.mlp\.fc2\.', r'layers.\1.ffn.layers.1.'),
        ),
        lacks=r'^pyramid\.'),
    Format(
        'published S5',
        'layers.0.attn.attn.in_proj_weight',
        renames=(
            (r'\.attn\.attn\.in_proj_', '.attn.qkv.'),
            (r'\.attn\.attn\.out_proj\.', '.attn.proj.'),
            (r'^fpn1\.1\.ln\.', 'pyramid.upsample_4x.1.'),
            (r'^fpn1\.', 'pyramid.upsample_4x.'),
            (r'^fpn2\.', 'pyramid.upsample_2x.'),
        )),
)


def recognise(names: Iterable[str]) -> list[tuple[Format, str]]:
    """Find the encoders in a file by their parameter names.

    Args:
        names: All parameter names of the file.

    Returns:
        One (format, prefix) for each encoder, e.g. ``(published S5, 'module.encoder.')``.
    """
    return [(style, name.removesuffix(style.mark)) for name in names for style in FORMATS
            if name == style.mark or name.endswith('.' + style.mark)]


def translate(name: str, style: Format) -> str:
    """Our name of a parameter.

    Args:
        name: Its name in the file, without the encoder's prefix.
        style: The file's format.
    """
    for pattern, replacement in style.renames:
        name = re.sub(pattern, replacement, name)
    return name


# Names of decoders below the root of a segmentor, and what stands for the matched part in a decode head of ours. The
# group is the data set's name; without one the decoder is a source for every data set. The published decode heads
# carry an unused classifier of one class, which no pattern takes.
DECODERS = (
    (r'^decode_heads\.([^.]+)\.', ''),
    (r'^decode_head\.()', ''),
    (r'^semsegdecoder(?:_(\w+))?\.decode_head\.(?!conv_seg\.)', ''),
    (r'^semseghead(?:_(\w+))?\.1\.', 'conv_seg.'),
)


def translate_decoder(name: str) -> tuple[str | None, str] | None:
    """Data set and our name of a decoder's parameter.

    Args:
        name: Its name in the file, below the segmentor's root.

    Returns:
        The data set (``None``: not told) and the name inside a decode head; ``None`` if it is no decoder's parameter.
    """
    for pattern, replacement in DECODERS:
        match = re.match(pattern, name)
        if match:
            return match[1] or None, replacement + name[match.end():]
    return None

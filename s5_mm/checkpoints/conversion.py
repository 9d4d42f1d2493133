"""Turn files of weights into ours, and ours into the published S5 layout."""
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from prettytable import PrettyTable
from torch import Tensor

from s5_mm.version import __version__

from .encoder import check_blocks, find_encoder
from .formats import OURS, PUBLISHED, TABLE, Format, has_class_entry, inverse, rename
from .layouts import ENCODER_ALONE, UNUSED, Layout, change_values, layout_of, layout_of_ours
from .reading import read_checkpoint
from .segmentor import ENCODER, evaluated_encoder, part_of
from .writing import check_target, write_weights

Weights = dict[str, Tensor]
TARGETS = ('s5_mm', 'published')


class Converted(NamedTuple):
    """Weights of a new file.

    Attributes:
        weights: Under their new names; tensors that are equal are those of the old file.
        origin: What the new file tells about itself, from which the way back is found.
        key: Where a ``.pth`` file holds the weights.
        dtype: That floating-point weights get.
        changed: New names of those whose values differ from the old file's.
        left_out: Old names of those that the new file does not hold.
    """

    weights: Weights
    origin: dict[str, str]
    key: str
    dtype: torch.dtype | None
    changed: list[str]
    left_out: list[str]

    @property
    def table(self) -> str:
        """What happened to the tensors."""
        aside = [name for name in self.weights if name.startswith(UNUSED)]
        table = PrettyTable(['what', 'tensors', 'for example'])
        for what, names in (('converted', [name for name in self.weights if name not in aside]),
                            ('of them with other values', self.changed), ('kept aside, used by nothing', aside),
                            ('left out', self.left_out)):
            table.add_row([what, len(names), ', '.join(names[:2])])
        return table.get_string()


def convert_checkpoint(source: str, out: str, to: str, force: bool = False) -> Converted:
    """Convert a file.

    Args:
        source: A ``.pth`` or ``.safetensors`` file in any known format.
        out: ``.pth`` or ``.safetensors`` file to write.
        to: ``'s5_mm'``: names of our models, in fp32. ``'published'``: the layout of the published S5 code; the dtype
            and the prefix of all names are those that the file once had.
        force: Whether to replace ``out``.

    Raises:
        FileNotFoundError: There is no such file.
        FileExistsError: ``out`` exists and ``force`` is not set.
        ValueError: ``to`` or a suffix is unknown, or the file is refused, damaged, of no known format, or in the
            wanted format already.
    """
    if to not in TARGETS:
        raise ValueError(f'to is {to!r}; choose one of {", ".join(TARGETS)}.')
    check_target(out, force)
    content = read_checkpoint(source, mmap=True)
    weights = {name: value for name, value in content.get('state_dict', content).items() if isinstance(value, Tensor)}
    meta = content.get('meta') if isinstance(content.get('meta'), dict) else {}
    converted = to_ours(weights, source) if to == 's5_mm' else to_published(weights, source, meta)
    origin = dict(converted.origin, source=Path(source).name, s5_mm=__version__)
    write_weights(out, converted.weights, origin, converted.key, converted.dtype)
    return converted


def to_ours(weights: Weights, filename: str) -> Converted:
    """Weights of any known format under the names of our models.

    Args:
        weights: The file's.
        filename: Its name, for messages.

    Raises:
        ValueError: There is no known encoder in it, several, or ours.
    """
    style, prefix = find_encoder(weights, filename)
    if style is OURS:
        raise ValueError(f'{filename} has the names of s5_mm already; nothing is to be converted.')
    check_blocks(part_of(weights, prefix), style, f'{filename} ({style.name} format)')
    found = layout_of(weights) if style is PUBLISHED else None
    if found is None:
        return _encoder_to_ours(weights, style, prefix)
    layout, wrapper = found
    rows, named, changed = layout.all_rows(), {}, []
    for name, value in weights.items():
        theirs = name.removeprefix(wrapper)
        ours = rename(theirs, rows) or UNUSED + theirs
        if ours in named:
            raise ValueError(f'{filename} holds two tensors for {ours}; it is no file of the published code.')
        named[ours] = change_values(ours, value, layout)
        if named[ours] is not value:
            changed.append(ours)
    origin = dict(layout=layout.name, wrapper=wrapper, dtype=str(_common_dtype(weights)).removeprefix('torch.'))
    return Converted(named, origin, 'state_dict', torch.float32, changed, [])


def _encoder_to_ours(weights: Weights, style: Format, prefix: str) -> Converted:
    """An encoder alone, of another pre-training; without the class entry of its position table."""
    renamed = {name: rename(name.removeprefix(prefix), style.rows) if name.startswith(prefix) else None
               for name in weights}
    named = {ours: weights[name] for name, ours in renamed.items() if ours is not None}
    changed = [TABLE] if TABLE in named and has_class_entry(named[TABLE].shape[1]) else []
    for name in changed:
        named[name] = named[name][:, 1:].clone()
    left_out = [name for name, ours in renamed.items() if ours is None]
    return Converted(named, dict(layout=style.name), 'state_dict', torch.float32, changed, left_out)


def to_published(weights: Weights, filename: str, meta: Mapping[str, str]) -> Converted:
    """Weights of a model of ours in the layout of the published code.

    Args:
        weights: The file's; of a :class:`s5_mm.FixMatchSegmentor` the network that it evaluates is taken.
        filename: Its name, for messages.
        meta: Its origin, if it was converted once.

    Raises:
        ValueError: It is no model of ours, or has parts that the published layout has no place for.
    """
    found = evaluated_encoder(weights)
    if found is None or found[0] is not OURS:
        raise ValueError(f'{filename} holds no encoder of s5_mm with its pyramid'
                         f'{"" if found is None else f" but one in {found[0].name} format"}; only such a model can be '
                         'written in the published layout.')
    root = found[1].removesuffix(ENCODER)
    body = part_of(weights, root)
    layout = layout_of_ours(body) or ENCODER_ALONE
    body = part_of(weights, found[1]) if layout is ENCODER_ALONE else body
    rows, named, changed = inverse(layout.all_rows()), {}, []
    for ours, value in body.items():
        theirs = ours.removeprefix(UNUSED) if ours.startswith(UNUSED) else rename(ours, rows)
        if theirs is None:
            raise ValueError(f'{filename} holds {ours}, for which the layout of the published {layout.name} has no '
                             f'place{_experts_told(layout)}.')
        named[theirs] = change_values(ours, value, layout, back=True)
        if named[theirs] is not value:
            changed.append(theirs)
    named = _unused(named, layout) | named
    wrapper = meta.get('wrapper', layout.wrapper)
    left_out = [name for name in weights if not name.startswith(root)]
    dtype = getattr(torch, meta['dtype']) if meta.get('dtype') in ('float16', 'bfloat16') else None
    named = {wrapper + name: value for name, value in named.items()}
    return Converted(named, dict(layout=layout.name), layout.key, dtype, changed, left_out)


def _experts_told(layout: Layout) -> str:
    return f'; its datasets are {", ".join(layout.experts)}' if layout.experts else ''


def _unused(weights: Weights, layout: Layout) -> Weights:
    """What the published modules carry and nothing reads, as zeros: the class token and decoders' own classifiers."""
    width = len(weights[f'{layout.encoder[0]}patch_embed.projection.bias'])
    made = {f'{layout.encoder[0]}cls_token': torch.zeros(1, 1, width)}
    for name, value in weights.items():
        if name.startswith('semsegdecoder') and name.endswith('.decode_head.bottleneck.conv.weight'):
            classifier = name.removesuffix('bottleneck.conv.weight') + 'conv_seg.'
            made |= {f'{classifier}weight': torch.zeros(1, len(value), 1, 1), f'{classifier}bias': torch.zeros(1)}
    return made


def _common_dtype(weights: Weights) -> torch.dtype:
    """That of all floating-point weights; fp32 if they differ."""
    kinds = {value.dtype for value in weights.values() if value.is_floating_point()}
    return kinds.pop() if len(kinds) == 1 else torch.float32

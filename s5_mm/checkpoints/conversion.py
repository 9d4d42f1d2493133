"""Turn files of weights into ours, and ours into those of the published S5 code."""
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from prettytable import PrettyTable
from torch import Tensor

from s5_mm.version import __version__

from .adapters import UNUSED, find_adapter, fits
from .experts import rename_experts
from .formats import PUBLISHED, TABLE, PublishedEncoder, PublishedViT, S5ViT, has, has_class_entry
from .parts import ENCODER, Weights, part_of, root_of, select_part
from .reading import read_checkpoint
from .writing import check_target, write_weights

TARGETS = ('s5_mm', 'published')


class Converted(NamedTuple):
    """Weights of a new file.

    Attributes:
        weights: Under their new names; tensors that are equal are those of the old file.
        origin: What the new file tells about itself, from which the way back is found.
        key: Where a ``.pth`` file holds the weights.
        dtype: That floating-point weights get.
        changed: New names of those whose values the old file does not hold.
        dropped: Old names of those that the new file does not hold.
    """

    weights: Weights
    origin: dict[str, str]
    key: str
    dtype: torch.dtype | None
    changed: list[str]
    dropped: list[str]

    @property
    def table(self) -> str:
        """What happened to the tensors."""
        aside = [name for name in self.weights if name.startswith(UNUSED)]
        table = PrettyTable(['what', 'tensors', 'for example'])
        for what, names in (('converted', [name for name in self.weights if name not in aside]),
                            ('of them with new values', self.changed), ('kept aside, used by nothing', aside),
                            ('dropped', self.dropped)):
            table.add_row([what, len(names), ', '.join(names[:2])])
        return table.get_string()


def convert_checkpoint(source: str, out: str, to: str, force: bool = False) -> Converted:
    """Convert a file.

    Args:
        source: A file in any known format.
        out: ``.pth`` or ``.safetensors`` file to write.
        to: ``'s5_mm'``: names of our models, in fp32. ``'published'``: those of the published S5 code; the dtype and
            the prefix of all names are those that the file once had.
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
    weights = {name: value for name, value in content['state_dict'].items() if isinstance(value, Tensor)}
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
    adapter, prefix = find_adapter(weights, filename)
    if isinstance(adapter, S5ViT):
        raise ValueError(f'{filename} has the names of s5_mm already; nothing is to be converted.')
    named, kept = adapter.to_model(weights, prefix), weights
    origin = dict(layout=adapter.name)
    if isinstance(adapter, PublishedViT):
        wrapper = 'module.' if prefix.startswith('module.') else ''
        origin |= dict(wrapper=wrapper, dtype=str(_common_dtype(weights)).removeprefix('torch.'))
        if adapter.experts:
            encoder = rename_experts(part_of(named, ENCODER), lambda number: adapter.experts[int(number)])
            named = {name: value for name, value in named.items() if not name.startswith(ENCODER)} | {
                ENCODER + name: value for name, value in encoder.items()}
        if isinstance(adapter, PublishedEncoder):
            named = {name.removeprefix(ENCODER): value for name, value in named.items()}
    else:
        # The encoder alone, of another pre-training.
        kept = {name: value for name, value in part_of(named, ENCODER).items() if not fits(name, adapter.may_drop)}
        named = dict(kept)
        if TABLE in named and 'cls_token' not in named and has_class_entry(named[TABLE].shape[1]):
            named[TABLE] = named[TABLE][:, 1:].clone()
    return _converted(weights, kept, named, origin, 'state_dict', torch.float32)


def to_published(weights: Weights, filename: str, meta: Mapping[str, str]) -> Converted:
    """Weights of a model of ours in a format of the published code.

    Args:
        weights: The file's; of a semi-supervised checkpoint the network that is evaluated is taken.
        filename: Its name, for messages.
        meta: Its origin, if it was converted once.

    Raises:
        ValueError: It is no model of ours, or has parts that the published format has no place for.
    """
    _, network = select_part(weights, 'auto', filename)
    prefix = S5ViT().matches(network)
    if prefix is None:
        adapter = _format_of(network, filename)
        raise ValueError(f'{filename} holds no encoder of s5_mm with its pyramid{adapter}; only such a model can be '
                         'written in a published format.')
    root = root_of(prefix)
    body = part_of(network, root)
    if root == prefix:
        body = {name if name.startswith(UNUSED) else ENCODER + name: value for name, value in body.items()}
    adapter = next(kind() for kind in PUBLISHED if has(body, kind.own_mark))
    if isinstance(adapter, PublishedEncoder):
        body = {name: value for name, value in body.items() if name.startswith((ENCODER, UNUSED))}
    try:
        named = adapter.from_model(body)
    except ValueError as error:
        raise ValueError(f'{filename}: {error}') from error
    wrapper = meta.get('wrapper', adapter.wrapper)
    named = {wrapper + name: value for name, value in named.items()}
    dtype = getattr(torch, meta['dtype']) if meta.get('dtype') in ('float16', 'bfloat16') else None
    return _converted(weights, body, named, dict(layout=adapter.name), adapter.key, dtype)


def _format_of(weights: Weights, filename: str) -> str:
    try:
        return f' but one in {find_adapter(weights, filename)[0].name} format'
    except ValueError:
        return ''


def _converted(old: Weights, kept: Weights, new: Weights, origin: dict[str, str], key: str,
               dtype: torch.dtype | None) -> Converted:
    held, left = ({id(value) for value in weights.values()} for weights in (old, kept))
    changed = [name for name, value in new.items() if id(value) not in held]
    return Converted(new, origin, key, dtype, changed, [name for name, value in old.items() if id(value) not in left])


def _common_dtype(weights: Weights) -> torch.dtype:
    """That of all floating-point weights; fp32 if they differ."""
    kinds = {value.dtype for value in weights.values() if value.is_floating_point()}
    return kinds.pop() if len(kinds) == 1 else torch.float32

"""Adapters between the names in files and the names of models; tables say how.

Canonical names are ``backbone.*`` for the encoder and ``decode_head.*``, ``decode_heads.DATASET.*``,
``detectors.DATASET.*``, ``neck.*`` and so on for the rest. Names that begin with ``unused.`` are of tensors that a file
carries and no model needs.
"""
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from s5_mm.registry import ADAPTERS

from .experts import EXPERT
from .parts import ENCODER, Weights, part_of, root_of

Rows = tuple[tuple[str, str], ...]
Change = Callable[[Tensor, bool], Tensor]
UNUSED = 'unused.'
# Names of experts in models, and in files from before experts were a part of the layer that they belong to.
EXPERTS, OLD_EXPERTS = 'layers.*.ffn.layers.1.experts.*.', 'layers.*.ffn.experts.*.'
# The same for whole models, as regular expressions.
REVISED_KEYS = [(r'(^|\.)(layers\.\d+\.ffn)\.experts\.', r'\1\2.layers.1.experts.')]


class StateDictAdapter(Protocol):
    """A format of files. Register it in ``s5_mm.registry.ADAPTERS``; the last one registered is asked first.

    Attributes:
        name: How messages call the format.
        may_drop: Patterns of encoder names that a model may do without.
        may_lack: Patterns, or tuples of them, of canonical encoder names that such a file need not have; all that one
            entry stands for or none.
        implies: Attributes that an encoder must have to compute the function of such weights, and their values.
    """

    name: str
    may_drop: tuple[str, ...]
    may_lack: tuple[str | tuple[str, ...], ...]
    implies: Mapping[str, object]

    def matches(self, state: Weights) -> str | None:
        """What stands before the names of the file's encoder; ``None`` if the file has another format.

        Raises:
            ValueError: There are several encoders.
        """

    def to_model(self, state: Weights, prefix: str) -> Weights:
        """The file's weights under canonical names.

        Raises:
            ValueError: The encoder has a name that the format does not know.
        """

    def from_model(self, state: Weights) -> Weights:
        """Weights with canonical names under those of the format.

        Raises:
            ValueError: The format has no place for one.
        """


class TableAdapter:
    """An adapter that is made of tables.

    A pattern that ends in ``.``, ``_`` or ``*`` stands for all names that begin so, any other for one name. ``*``
    inside stands for a part without dots. The first row that fits a name renames it. Read from right to left the table
    gives the way back.

    Attributes:
        name: See :class:`StateDictAdapter`.
        needs: Encoder names that only this format has together.
        rows: Pairs of patterns of encoder names: of the file, and canonical without ``backbone.``.
        may_drop: See :class:`StateDictAdapter`; what no row names becomes ``unused.*``, or else is an error.
        may_lack: See :class:`StateDictAdapter`.
        implies: See :class:`StateDictAdapter`.
        joins: Patterns of encoder names in the file, of equal parts of a value, one below the other; the last pattern
            is the whole's, which ``rows`` know.
        others: Rows of the names beside the encoder; what they do not name becomes ``unused.*``. ``None``: they stay.
        encoder: What stands before encoder names in a file that is written.
        experts: Datasets of the experts 0, 1, ... in files.
        changes: Pattern of canonical names -> change of a value of the file to ours, and back.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    rows: ClassVar[Rows]
    may_drop: ClassVar[tuple[str, ...]] = ()
    may_lack: ClassVar[tuple[str | tuple[str, ...], ...]] = ()
    implies: ClassVar[Mapping[str, object]] = {}
    joins: ClassVar[tuple[tuple[str, ...], ...]] = ()
    others: ClassVar[Rows | None] = None
    encoder: ClassVar[str] = ENCODER
    experts: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[tuple[tuple[str, Change], ...]] = ()

    def matches(self, state: Weights) -> str | None:
        """See :class:`StateDictAdapter`."""
        first = self.needs[0]
        prefixes = [name.removesuffix(first) for name in state if name == first or name.endswith(f'.{first}')]
        found = [prefix for prefix in prefixes if self.is_encoder(state, prefix)]
        return only_one(found)

    def is_encoder(self, state: Weights, prefix: str) -> bool:
        """Whether the names below ``prefix`` are of this format."""
        return all(prefix + name in state for name in self.needs)

    def to_model(self, state: Weights, prefix: str) -> Weights:
        """See :class:`StateDictAdapter`."""
        root, named, unknown = root_of(prefix), {}, []
        for name, value in self._joined(state, prefix).items():
            ours = self._canonical(name, prefix, root)
            if ours is None:
                unknown.append(name.removeprefix(prefix))
            elif ours in named:
                raise ValueError(f'The file ({self.name} format) holds two tensors for {ours}, one of them is {name}.')
            else:
                named[ours] = self._changed(ours, value)
        if unknown:
            raise ValueError(f'The encoder ({self.name} format) has {too_many(unknown)}')
        return named

    def _joined(self, state: Weights, prefix: str) -> Weights:
        """Weights with whole values in the place of complete parts."""
        state = dict(state)
        for *parts, whole in self.joins:
            for name in [name for name in state if name.startswith(prefix)]:
                names = [rename(name.removeprefix(prefix), ((parts[0], other), )) for other in (*parts, whole)]
                if names[0] is None or not all(prefix + part in state for part in names[:-1]):
                    continue
                values = [state.pop(prefix + part) for part in names[:-1]]
                if len({value.shape for value in values}) > 1:
                    raise ValueError(f'{" and ".join(names[:-1])} have different shapes, '
                                     f'{[tuple(value.shape) for value in values]}; the file is damaged.')
                state[prefix + names[-1]] = torch.cat(values)
        return state

    def _canonical(self, name: str, prefix: str, root: str) -> str | None:
        below = name.removeprefix(root)
        if name.startswith(prefix):
            ours = rename(name.removeprefix(prefix), self.rows)
            if ours is not None:
                return ENCODER + ours
            return UNUSED + below if fits(name.removeprefix(prefix), self.may_drop) else None
        if name.startswith(root):
            return below if self.others is None else rename(below, self.others) or UNUSED + below
        return UNUSED + name

    def from_model(self, state: Weights) -> Weights:
        """See :class:`StateDictAdapter`."""
        named = {}
        for ours, value in state.items():
            theirs = self._theirs(ours)
            if theirs is None:
                told = f'; its datasets are {", ".join(self.experts)}' if self.experts else ''
                raise ValueError(f'{ours} has no place in the {self.name} format{told}.')
            named |= self._parted(theirs, self._changed(ours, value, back=True))
        return named

    def _parted(self, theirs: str, value: Tensor) -> Weights:
        """The parts of a whole value, or the value."""
        inside = theirs.removeprefix(self.encoder)
        for *parts, whole in self.joins:
            names = [rename(inside, ((whole, part), )) for part in parts]
            if names[0] is not None:
                return {self.encoder + name: one for name, one in zip(names, value.chunk(len(parts)), strict=True)}
        return {theirs: value}

    def _theirs(self, ours: str) -> str | None:
        if ours.startswith(UNUSED):
            return ours.removeprefix(UNUSED)
        if not ours.startswith(ENCODER):
            return ours if self.others is None else rename(ours, inverse(self.others))
        inside = ours.removeprefix(ENCODER)
        expert = EXPERT.match(inside)
        if expert and self.experts and not expert[2].isdigit():
            if expert[2] not in self.experts:
                return None
            inside = inside.replace(f'.experts.{expert[2]}.', f'.experts.{self.experts.index(expert[2])}.')
        theirs = rename(inside, inverse(self.rows))
        return None if theirs is None else self.encoder + theirs

    def _changed(self, ours: str, value: Tensor, back: bool = False) -> Tensor:
        return next((change(value, back) for pattern, change in self.changes if fits(ours, (pattern, ))), value)


class OwnNames(TableAdapter):
    """Files under the names of the model's own encoder, of whatever architecture.

    Args:
        encoder: The encoder. Experts do not count: files of dense encoders are the start of those with experts.
    """

    name = 'own names'
    # A classifier of pre-training stands beside the encoder in files of an encoder alone.
    may_drop = ('fc.', 'head.', UNUSED)
    rows = ((OLD_EXPERTS, EXPERTS), ('*', '*'))

    def __init__(self, encoder: nn.Module) -> None:
        self.own = encoder.state_dict()
        self.needs = tuple(name for name in self.own if not EXPERT.match(name) and not is_counter(name))

    def closest(self, state: Weights) -> tuple[str, list[str]]:
        """The prefix below which most of the encoder's names are, and those that are not."""
        prefixes = {name.removesuffix(own) for own in self.needs for name in state
                    if name == own or name.endswith(f'.{own}')} or {''}
        missing = {prefix: [own for own in self.needs if prefix + own not in state] for prefix in prefixes}
        best = min(missing, key=lambda prefix: (len(missing[prefix]), prefix))
        return best, missing[best]


class InnerNames(OwnNames):
    """Files under the names of what an encoder wraps, e.g. timm's; the encoder states their place as ``inner_prefix``.

    Args:
        encoder: The encoder.
    """

    name = 'names of the wrapped encoder'
    may_lack = ('pyramid.', )

    def __init__(self, encoder: nn.Module) -> None:
        self.own = part_of(encoder.state_dict(), encoder.inner_prefix)
        self.needs = tuple(name for name in self.own if not EXPERT.match(name) and not is_counter(name))
        self.rows = (('*', f'{encoder.inner_prefix}*'), )


def find_adapter(state: Weights, source: str, encoder: nn.Module | None = None) -> tuple[StateDictAdapter, str]:
    """The format of a file and what stands before the names of its encoder.

    Args:
        state: The file's weights.
        source: What messages call it.
        encoder: Of the model that gets them.

    Raises:
        ValueError: The file has no encoder of a known format, or several.
    """
    own = None if encoder is None else OwnNames(encoder)
    found: dict[str, StateDictAdapter] = {}
    known = [kind() for kind in reversed(ADAPTERS.module_dict.values())]
    first = ([own] if own else []) + ([InnerNames(encoder)] if hasattr(encoder, 'inner_prefix') else [])
    for adapter in first + known:
        prefix = adapter.matches(state)
        if prefix is not None:
            found.setdefault(prefix, adapter)
        if adapter in first and found:
            break
    prefix = only_one(list(found))
    if prefix is not None:
        return found[prefix], prefix
    told = f'its names begin with {sorted(state)[:3]}'
    if own is not None:
        at, missing = own.closest(state)
        if len(missing) < len(own.needs):
            told = (f'of the {len(own.needs)} names of the {type(encoder).__name__} it lacks {len(missing)} below '
                    f'{at!r}, e.g. {missing[0]}')
    formats = ', '.join(adapter.name for adapter in known)
    raise ValueError(f'{source} holds no encoder in a known format ({formats}) and none under the names of the model: '
                     f'{told}. Give another file, or register an adapter for its format, see docs/weights.md.')


def only_one(prefixes: list[str]) -> str | None:
    """The only element, ``None`` if there is none.

    Raises:
        ValueError: There are several.
    """
    if len(prefixes) > 1:
        raise ValueError(f'The file holds {len(prefixes)} encoders, at {sorted(prefixes)}; choose one with '
                         "prefix='...'.")
    return prefixes[0] if prefixes else None


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


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is one of those that the patterns stand for."""
    return any(_compiled(pattern).match(name) for pattern in patterns)


def inverse(rows: Rows) -> Rows:
    """The table for the way back."""
    return tuple((ours, theirs) for theirs, ours in rows)


def is_counter(name: str) -> bool:
    """Whether a buffer only counts the steps of a batch norm, which nothing reads."""
    return name.endswith('num_batches_tracked')


# What names of an encoder stand for, where the model's encoder has no such thing.
MEANINGS = (
    (r'(^|\.)(ls\d|gamma_?\d?)(\.|$)', 'layer scale (option layer_scale)'),
    (r'\.(q_norm|k_norm)\.', 'normalized queries and keys (qk_norm)'),
    (r'rel_pos_|relative_position', 'relative positions (rel_pos, BEiT)'),
    (r'\.(q_bias|v_bias)$', 'biases of queries and values alone (BEiT)'),
    (r'(^|\.)(reg_token|register_tokens|storage_tokens|registers)', 'register tokens (option registers)'),
    (r'(^|\.)rope\.', 'rotary positions (DINOv3)'),
    (r'\.ffn\.w', 'gated FFNs (SwiGLU)'),
    (r'^norm\.', 'a norm behind the last block (option final_norm)'),
    (r'^pos_embed$', 'a position table (option position_table)'),
    (r'(^|\.)(norm_pre|pre_norm|ln_pre)\.', 'a norm before the blocks (pre_norm, CLIP)'),
    (r'mask_token_decoder', 'positions that depend on the ground resolution (Scale-MAE)'),
    (r'(^|\.)dist_token|head_dist', 'a distillation token (DeiT)'),
    (r'channel_embed|channel_cls_embed', 'groups of bands (SatMAE)'),
    (r'(^|\.)cls_token$', 'a class token (option class_token)'),
    (r'\.experts\.', 'experts of datasets (tools/model_converters/merge_experts.py takes one dataset out)'),
    (r'(^|\.)pyramid\.', 'a pyramid'),
)


def too_many(names: list[str]) -> str:
    """Words on names of an encoder that the model's has no place for."""
    meant = ((name, words) for name in names for pattern, words in MEANINGS if re.search(pattern, name))
    name, words = next(meant, (names[0], ''))
    told = f'They mean {words}, which this encoder does not have. ' if words else ''
    return (f'{len(names)} names that are not of the model\'s encoder, e.g. {name}. {told}Without them it would '
            'compute another function.')


@functools.cache
def _compiled(pattern: str) -> re.Pattern:
    begins = pattern.endswith(('.', '_', '*'))
    body = re.escape(pattern.removesuffix('*')).replace(r'\*', r'([^.]+)')
    return re.compile(body + ('(.*)' if pattern.endswith('*') else '' if begins else '$'))

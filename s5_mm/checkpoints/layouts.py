"""Whole files of the published S5 code, as tables: what their names are in ours, and how values differ.

Rows are those of :mod:`s5_mm.checkpoints.formats`. Names that begin with ``unused.`` are ours for what the published
modules carry and nothing reads.
"""
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .formats import PUBLISHED, Rows, rename

UNUSED = 'unused.'


class Layout(NamedTuple):
    """A kind of file.

    Attributes:
        name: How messages and file origins call it.
        mark: Pattern of a parameter name, below the wrapper's prefix, that only this kind has.
        ours: The same of our models.
        key: Where the file holds its weights.
        wrapper: Prefix that the published files have before all names.
        encoder: Prefixes of the encoder, theirs and ours.
        rows: All names but the encoder's.
        experts: Datasets of experts 0, 1, ...
        changes: Pattern of our names -> how values of theirs become ours, and back.
    """

    name: str
    mark: str
    ours: str
    key: str = 'model'
    wrapper: str = ''
    encoder: tuple[str, str] = ('encoder.', 'backbone.')
    rows: Rows = ()
    experts: tuple[str, ...] = ()
    changes: tuple[tuple[str, Callable[[Tensor, bool], Tensor]], ...] = ()

    def all_rows(self) -> Rows:
        """Rows of the whole file, experts by name."""
        theirs, ours = self.encoder
        numbered = tuple((f'layers.*.ffn.experts.{i}.', f'layers.*.ffn.experts.{name}.')
                         for i, name in enumerate(self.experts))
        rows = (*numbered, *(row for row in PUBLISHED.rows if '.experts.' not in row[0]))
        return (*((theirs + a, ours + b) for a, b in rows), (f'{theirs}cls_token', f'{UNUSED}{theirs}cls_token'),
                *self.rows)


def flip_angle(value: Tensor, back: bool) -> Tensor:
    """Negate the angle's row of a box regressor, (5, ...): the published angles turn counter-clockwise.

    Raises:
        ValueError: It has not five rows.
    """
    if len(value) != 5:
        raise ValueError(f'A published box regressor has 5 rows (x, y, w, h, angle), this file\'s has {len(value)}; it '
                         'is another detector\'s.')
    return torch.cat([value[:4], -value[4:]])


def reorder(theirs: Sequence[str], ours: Sequence[str]) -> Callable[[Tensor, bool], Tensor]:
    """A change of the order of a classifier's rows, of which one more, the last, is the background's."""
    forth = [*(theirs.index(name) for name in ours), len(ours)]
    back = [*(ours.index(name) for name in theirs), len(ours)]

    def change(value: Tensor, reverse: bool) -> Tensor:
        if len(value) != len(forth):
            raise ValueError(f'The published classifier has {len(forth)} rows (18 classes of DOTA-v2.0 and the '
                             f'background), this file\'s has {len(value)}; it is another detector\'s.')
        return value[back if reverse else forth]
    return change


# The order of DOTA's classes in the published detectors (arXiv 2508.12409), and in mmrotate and here.
DOTA_PUBLISHED = (
    'large-vehicle', 'swimming-pool', 'helicopter', 'bridge', 'plane', 'ship', 'soccer-ball-field', 'basketball-court',
    'ground-track-field', 'small-vehicle', 'baseball-diamond', 'tennis-court', 'roundabout', 'storage-tank', 'harbor',
    'container-crane', 'airport', 'helipad')
DOTA_OURS = (
    'plane', 'baseball-diamond', 'bridge', 'ground-track-field', 'small-vehicle', 'large-vehicle', 'ship',
    'tennis-court', 'basketball-court', 'storage-tank', 'soccer-ball-field', 'roundabout', 'harbor', 'swimming-pool',
    'helicopter', 'container-crane', 'airport', 'helipad')

ENCODER_ALONE = Layout(
    'S4P encoder', mark='layers.0.attn.attn.in_proj_weight', ours='layers.0.attn.qkv.weight', encoder=('', ''))
LAYOUTS = (
    Layout(
        'MoE-MDF segmentor',
        mark='semseghead_*.1.weight',
        ours='decode_heads.*.conv_seg.weight',
        rows=(
            ('semseghead_OpenEarthMap.1.', 'decode_heads.openearthmap.conv_seg.'),
            ('semseghead_*.1.', 'decode_heads.*.conv_seg.'),
            ('semsegdecoder.decode_head.conv_seg.', f'{UNUSED}semsegdecoder.decode_head.conv_seg.'),
            ('semsegdecoder_*.decode_head.conv_seg.', f'{UNUSED}semsegdecoder_*.decode_head.conv_seg.'),
            ('semsegdecoder.decode_head.', 'decode_heads.vaihingen.'),
            ('semsegdecoder_OpenEarthMap.decode_head.', 'decode_heads.openearthmap.'),
            ('semsegdecoder_*.decode_head.', 'decode_heads.*.'),
        ),
        experts=('vaihingen', 'potsdam', 'openearthmap', 'loveda')),
    Layout(
        'S4P segmentor',
        mark='semseghead.1.weight',
        ours='decode_head.conv_seg.weight',
        wrapper='module.',
        rows=(
            ('semseghead.1.', 'decode_head.conv_seg.'),
            ('semsegdecoder.decode_head.conv_seg.', f'{UNUSED}semsegdecoder.decode_head.conv_seg.'),
            ('semsegdecoder.decode_head.', 'decode_head.'),
        )),
    Layout(
        'MoE-MDF detector',
        mark='roi_head_*.bbox_head.fc_reg.weight',
        ours='detectors.*.roi_head.bbox_head.fc_reg.weight',
        key='state_dict',
        encoder=('backbone.', 'backbone.'),
        rows=(
            ('neck_*.', 'detectors.*.neck.'),
            ('rpn_head_*.', 'detectors.*.rpn_head.'),
            ('roi_head_*.', 'detectors.*.roi_head.'),
        ),
        experts=('dior', 'dota'),
        changes=(
            ('detectors.*.roi_head.bbox_head.fc_reg.', flip_angle),
            ('detectors.dota.roi_head.bbox_head.fc_cls.', reorder(DOTA_PUBLISHED, DOTA_OURS)),
        )),
    ENCODER_ALONE,
)
WRAPPERS = ('', 'module.')


def layout_of(names: Iterable[str]) -> tuple[Layout, str] | None:
    """The kind of a published file, and the prefix before all its names; ``None`` if it is none."""
    names = list(names)
    return next(((layout, wrapper) for layout in LAYOUTS for wrapper in WRAPPERS
                 if _has(names, wrapper + layout.mark)), None)


def layout_of_ours(names: Iterable[str]) -> Layout | None:
    """The kind of published file that has a place for all weights of a model of ours."""
    names = list(names)
    return next((layout for layout in LAYOUTS if _has(names, layout.ours)), None)


def _has(names: list[str], pattern: str) -> bool:
    return any(rename(name, ((pattern, pattern), )) == name for name in names)


def change_values(name: str, value: Tensor, layout: Layout, back: bool = False) -> Tensor:
    """A published parameter's value as ours.

    Args:
        name: Its name in ours.
        value: Its value.
        layout: The kind of file.
        back: The way from ours to the published one instead.

    Raises:
        ValueError: It has not the published shape.
    """
    for pattern, change in layout.changes:
        if rename(name, ((pattern, pattern), )) is not None:
            return change(value, back)
    return value

"""The formats that are known, as tables: plain ViTs of several projects, and the files that S5 published."""
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from s5_mm.registry import ADAPTERS

from .adapters import EXPERTS, OLD_EXPERTS, UNUSED, Change, Rows, TableAdapter, inverse, rename
from .parts import ENCODER, Weights, root_of

PATCH, TABLE = 'patch_embed.projection.weight', 'pos_embed'


def same(*patterns: str) -> Rows:
    """Rows of names that are equal in both formats."""
    return tuple((pattern, pattern) for pattern in patterns)


COMMON = same(TABLE, 'patch_embed.projection.', 'layers.*.ln1.', 'layers.*.ln2.', 'layers.*.ffn.layers.0.0.',
              'layers.*.ffn.layers.1.')
QKV = same('layers.*.attn.qkv.', 'layers.*.attn.proj.')
FUSED = (('layers.*.attn.attn.in_proj_', 'layers.*.attn.qkv.'), ('layers.*.attn.attn.out_proj.', 'layers.*.attn.proj.'))


class ViTAdapter(TableAdapter):
    """A format of plain ViTs, told by names and shapes.

    Attributes:
        needs: The first is the weight of the attention's input layer, (3 C, C).
        class_entry: Whether the position table has one entry more than a square number; ``None``: either.
    """

    class_entry: bool | None = None

    def is_encoder(self, state: Weights, prefix: str) -> bool:
        """Whether the encoder at ``prefix`` has the names, and shapes of a plain ViT."""
        if not super().is_encoder(state, prefix):
            return False
        patch, table = state.get(prefix + rename(PATCH, inverse(self.rows))), state.get(prefix + TABLE)
        if patch is None or patch.ndim != 4 or state[prefix + self.needs[0]].shape != (3 * len(patch), len(patch)):
            return False
        if table is None:
            return True
        return (table.ndim == 3 and table.shape[2] == len(patch)
                and self.class_entry in (None, has_class_entry(table.shape[1])))


def has_class_entry(entries: int) -> bool:
    """Whether a position table of so many entries is square but for one."""
    return math.isqrt(entries)**2 != entries and math.isqrt(entries - 1)**2 == entries - 1


@ADAPTERS.register_module()
class MMSegViT(ViTAdapter):
    """mmseg's ViT."""

    name = 'mmseg ViT'
    needs = ('layers.0.attn.attn.in_proj_weight', )
    rows = (*COMMON, *FUSED, *same('cls_token'))
    may_drop = ('cls_token', 'ln1.')
    may_lack = ('pyramid.', )
    class_entry = True


@ADAPTERS.register_module()
class MMPretrainViT(ViTAdapter):
    """mmpretrain's ViT; our own without a pyramid."""

    name = 'mmpretrain ViT'
    needs = ('layers.0.attn.qkv.weight', )
    rows = (*COMMON, *QKV, *same('cls_token'))
    may_drop = ('cls_token', 'ln1.', 'mask_token', 'head.', UNUSED)
    may_lack = ('pyramid.', )


@ADAPTERS.register_module()
class MAEViT(ViTAdapter):
    """MAE and what shares its names: timm, DINO, SelectiveMAE, MA3E, SatMAE++ on RGB."""

    name = 'MAE / timm ViT'
    needs = ('blocks.0.attn.qkv.weight', )
    rows = (*same(TABLE, 'cls_token'), ('patch_embed.proj.', 'patch_embed.projection.'),
            ('blocks.*.norm1.', 'layers.*.ln1.'), ('blocks.*.norm2.', 'layers.*.ln2.'),
            ('blocks.*.attn.qkv.', 'layers.*.attn.qkv.'), ('blocks.*.attn.proj.', 'layers.*.attn.proj.'),
            ('blocks.*.mlp.fc1.', 'layers.*.ffn.layers.0.0.'), ('blocks.*.mlp.fc2.', 'layers.*.ffn.layers.1.'))
    may_drop = ('cls_token', 'mask_token', 'decoder_', 'norm.', 'head.', 'fc_norm.', 'get_token_probs*',
                'pos_embed_probs', 'hog.', 'angle_embed', 'proj_up_conv.', 'proj_up_norm.', 'up_block.')
    may_lack = ('pyramid.', )


@ADAPTERS.register_module()
class S5ViT(ViTAdapter):
    """Ours, with its pyramid."""

    name = 's5_mm'
    needs = ('layers.0.attn.qkv.weight', 'pyramid.upsample_4x.0.weight')
    rows = (*same(EXPERTS), (OLD_EXPERTS, EXPERTS), *COMMON, *QKV, *same('cls_token', 'pyramid.'))
    may_drop = (UNUSED, )


class PublishedViT(ViTAdapter):
    """What the files that S5 published have in common.

    Attributes:
        mark: Pattern of a name, below the root, that only this kind of file has.
        own_mark: The same of our models.
        key: Where the file has its weights.
        wrapper: What the published files have before all names.
    """

    needs = ('layers.0.attn.attn.in_proj_weight', )
    rows = ((OLD_EXPERTS, EXPERTS), *COMMON, *FUSED, ('fpn1.1.ln.', 'pyramid.upsample_4x.1.'),
            ('fpn1.', 'pyramid.upsample_4x.'), ('fpn2.', 'pyramid.upsample_2x.'))
    may_drop = ('cls_token', )
    class_entry = False
    mark: str
    own_mark: str
    key = 'model'
    wrapper = ''
    encoder = 'encoder.'

    def is_encoder(self, state: Weights, prefix: str) -> bool:
        """See :class:`ViTAdapter`; the mark must be there too."""
        return super().is_encoder(state, prefix) and has(state, root_of(prefix) + self.mark)

    def from_model(self, state: Weights) -> Weights:
        """See :class:`StateDictAdapter`. What the published modules have and nothing reads is filled with zeros."""
        named = super().from_model(state)
        width = len(state[f'{ENCODER}patch_embed.projection.bias'])
        unused = {f'{self.encoder}cls_token': torch.zeros(1, 1, width)}
        for name, value in named.items():
            if name.startswith('semsegdecoder') and name.endswith('.decode_head.bottleneck.conv.weight'):
                classifier = name.removesuffix('bottleneck.conv.weight') + 'conv_seg.'
                unused |= {f'{classifier}weight': torch.zeros(1, len(value), 1, 1), f'{classifier}bias': torch.zeros(1)}
        return unused | named


def has(names: Sequence[str] | Weights, pattern: str) -> bool:
    """Whether a name fits a pattern."""
    return any(rename(name, ((pattern, pattern), )) == name for name in names)


@ADAPTERS.register_module()
class PublishedEncoder(PublishedViT):
    """``*_s4p.pth``."""

    name = 'published S4P encoder'
    encoder = ''
    own_mark = 'backbone.layers.0.attn.qkv.weight'

    def is_encoder(self, state: Weights, prefix: str) -> bool:
        """Whatever else stands in the file."""
        return ViTAdapter.is_encoder(self, state, prefix)


@ADAPTERS.register_module()
class PublishedSegmentor(PublishedViT):
    """``*_s4p_upernet.pth``."""

    name = 'published S4P segmentor'
    mark, own_mark = 'semseghead.1.weight', 'decode_head.conv_seg.weight'
    wrapper = 'module.'
    others = (
        ('semseghead.1.', 'decode_head.conv_seg.'),
        ('semsegdecoder.decode_head.conv_seg.', f'{UNUSED}semsegdecoder.decode_head.conv_seg.'),
        ('semsegdecoder.decode_head.', 'decode_head.'),
    )


@ADAPTERS.register_module()
class PublishedMultiSegmentor(PublishedViT):
    """MoE-MDF segmentation."""

    name = 'published MoE-MDF segmentor'
    mark, own_mark = 'semseghead_*.1.weight', 'decode_heads.*.conv_seg.weight'
    experts = ('vaihingen', 'potsdam', 'openearthmap', 'loveda')
    others = (
        ('semseghead_OpenEarthMap.1.', 'decode_heads.openearthmap.conv_seg.'),
        ('semseghead_*.1.', 'decode_heads.*.conv_seg.'),
        ('semsegdecoder.decode_head.conv_seg.', f'{UNUSED}semsegdecoder.decode_head.conv_seg.'),
        ('semsegdecoder_*.decode_head.conv_seg.', f'{UNUSED}semsegdecoder_*.decode_head.conv_seg.'),
        ('semsegdecoder.decode_head.', 'decode_heads.vaihingen.'),
        ('semsegdecoder_OpenEarthMap.decode_head.', 'decode_heads.openearthmap.'),
        ('semsegdecoder_*.decode_head.', 'decode_heads.*.'),
    )


def flip_angle(value: Tensor, back: bool) -> Tensor:
    """Negate the angle's row of a box regressor, (5, ...): the published angles turn counter-clockwise.

    Raises:
        ValueError: It has not five rows.
    """
    if len(value) != 5:
        raise ValueError(f'A published box regressor has 5 rows (x, y, w, h, angle), this file\'s has {len(value)}; it '
                         'is another detector\'s.')
    return torch.cat([value[:4], -value[4:]])


def reorder(theirs: Sequence[str], ours: Sequence[str]) -> Change:
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


@ADAPTERS.register_module()
class PublishedMultiDetector(PublishedViT):
    """MoE-MDF detection."""

    name = 'published MoE-MDF detector'
    mark, own_mark = 'roi_head_*.bbox_head.fc_reg.weight', 'detectors.*.roi_head.bbox_head.fc_reg.weight'
    key = 'state_dict'
    encoder = ENCODER
    experts = ('dior', 'dota')
    others = (
        ('neck_*.', 'detectors.*.neck.'),
        ('rpn_head_*.', 'detectors.*.rpn_head.'),
        ('roi_head_*.', 'detectors.*.roi_head.'),
    )
    changes = (
        ('detectors.*.roi_head.bbox_head.fc_reg.', flip_angle),
        ('detectors.dota.roi_head.bbox_head.fc_cls.', reorder(DOTA_PUBLISHED, DOTA_OURS)),
    )


PUBLISHED = (PublishedMultiDetector, PublishedMultiSegmentor, PublishedSegmentor, PublishedEncoder)

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


# Names of MAE, timm and DINO.
STEM = (('patch_embed.proj.', 'patch_embed.projection.'), )
BLOCKS = (('blocks.*.norm1.', 'layers.*.ln1.'), ('blocks.*.norm2.', 'layers.*.ln2.'),
          ('blocks.*.attn.qkv.weight', 'layers.*.attn.qkv.weight'),
          ('blocks.*.attn.qkv.bias', 'layers.*.attn.qkv.bias'), ('blocks.*.attn.proj.', 'layers.*.attn.proj.'))
MLP = (('blocks.*.mlp.fc1.', 'layers.*.ffn.layers.0.0.'), ('blocks.*.mlp.fc2.', 'layers.*.ffn.layers.1.'))
SWIGLU = (('blocks.*.mlp.w12.', 'layers.*.ffn.w12.'), ('blocks.*.mlp.w3.', 'layers.*.ffn.w3.'))
SCALES = (('blocks.*.ls1.gamma', 'layers.*.attn.gamma1.weight'), ('blocks.*.ls2.gamma', 'layers.*.ffn.gamma2.weight'))
# The pyramid of RVSA, SAMRS, MTP, SelectiveMAE and S5.
FPN = (('fpn1.1.ln.', 'pyramid.upsample_4x.1.'), ('fpn1.', 'pyramid.upsample_4x.'), ('fpn2.', 'pyramid.upsample_2x.'))


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
    # The last ones are what Scale-MAE's file has besides; no plain ViT takes them.
    rows = (*same(TABLE, 'cls_token', 'norm.'), *STEM, *BLOCKS, *MLP, *FPN, *same('mask_token_decoder', 'fpn', 'fcn'))
    may_drop = ('cls_token', 'mask_token', 'decoder_', 'norm.', 'head.', 'fc_norm.', 'get_token_probs*',
                'pos_embed_probs', 'hog.', 'angle_embed', 'proj_up_conv.', 'proj_up_norm.', 'up_block.')
    # RVSA is fine-tuned from MAE's weights; its own ones are new then.
    may_lack = ('pyramid.', 'layers.*.attn.sampling*', 'layers.*.attn.rel*', 'layers.*.attn.full_rel_pos_')
    implies = dict(patch_padding=0)


@ADAPTERS.register_module()
class DINOv2(ViTAdapter):
    """DINOv2 (arXiv 2304.07193), and timm's ViTs with layer scale."""

    name = 'DINOv2 / timm ViT with layer scale'
    needs = ('blocks.0.attn.qkv.weight', 'blocks.0.ls1.gamma', TABLE)
    rows = (*same(TABLE, 'cls_token', 'norm.'), ('register_tokens', 'registers'), ('reg_token', 'registers'), *STEM,
            *BLOCKS, *MLP, *SWIGLU, *SCALES)
    may_drop = ('mask_token', 'head.', 'fc_norm.')
    may_lack = ('pyramid.', )
    implies = dict(norm_eps=1e-6)


@ADAPTERS.register_module()
class DINOv3(ViTAdapter):
    """DINOv3 (arXiv 2508.10104)."""

    name = 'DINOv3'
    needs = ('blocks.0.attn.qkv.weight', 'storage_tokens', 'rope_embed.periods')
    rows = (*same('cls_token', 'norm.'), ('storage_tokens', 'registers'), ('rope_embed.', 'rope.'), *STEM, *BLOCKS,
            *MLP, *SWIGLU, *SCALES)
    joins = (('blocks.*.mlp.w1.', 'blocks.*.mlp.w2.', 'blocks.*.mlp.w12.'), )
    # The encoder knows which third of the biases has no effect; the norm of local crops is for pre-training.
    may_drop = ('mask_token', 'blocks.*.attn.qkv.bias_mask', 'local_cls_norm.')
    may_lack = ('pyramid.', )
    implies = dict(norm_eps=1e-5)


@ADAPTERS.register_module()
class Prithvi(TableAdapter):
    """Prithvi-EO-2.0 (arXiv 2412.02732) for one frame.

    Of the kernel over one frame the axis of time falls away, of the positions those of the first frame remain. The
    encodings of date and place are left out, as where no coordinates are given.
    """

    name = 'Prithvi-EO-2.0'
    needs = ('blocks.0.attn.qkv.weight', 'patch_embed.proj.weight', TABLE)
    rows = (*same(TABLE, 'cls_token'), *STEM, *BLOCKS, *MLP)
    may_drop = ('norm.', 'temporal_embed_enc.', 'location_embed_enc.')
    may_lack = ('pyramid.', )
    implies = dict(norm_eps=1e-5)

    def is_encoder(self, state: Weights, prefix: str) -> bool:
        """Whether there are the names, and a kernel over the time of one frame."""
        return (super().is_encoder(state, prefix)
                and state[f'{prefix}patch_embed.proj.weight'].shape[2:3] == (1, )
                and state[f'{prefix}patch_embed.proj.weight'].ndim == 5)

    def to_model(self, state: Weights, prefix: str) -> Weights:
        """See :class:`StateDictAdapter`."""
        kernel, table = state[f'{prefix}patch_embed.proj.weight'], state[prefix + TABLE]
        # The last quarter of the channels tells the time; entries of a frame have it in common.
        time = table[0, 1:, -(table.shape[2] // 4):]
        first = int((time == time[:1]).all(dim=1).long().cumprod(0).sum())
        return super().to_model(state | {f'{prefix}patch_embed.proj.weight': kernel[:, :, 0],
                                         prefix + TABLE: table[:, :1 + first]}, prefix)


@ADAPTERS.register_module()
class BandGroupAdapter(TableAdapter):
    """SatMAE++ on fMoW-Sentinel (arXiv 2403.05419)."""

    name = 'SatMAE++ on groups of bands'
    needs = ('blocks.0.attn.qkv.weight', 'channel_embed', 'patch_embed.0.proj.weight')
    rows = (*same(TABLE, 'cls_token', 'channel_embed', 'channel_cls_embed'),
            ('patch_embed.*.proj.', 'patch_embed.*.projection.'), *BLOCKS, *MLP)
    may_drop = MAEViT.may_drop[1:]
    may_lack = ('pyramid.', )
    implies = dict(norm_eps=1e-6)


@ADAPTERS.register_module()
class DOFAViT(TableAdapter):
    """DOFA (arXiv 2403.15356); the encoder computes the patch embedding for its bands."""

    name = 'DOFA'
    needs = ('blocks.0.attn.qkv.weight', 'patch_embed.weight_generator.fc_weight.weight', TABLE)
    rows = (*same(TABLE, 'cls_token', 'patch_embed.weight_generator.', 'patch_embed.fclayer.'), *BLOCKS, *MLP)
    may_drop = ('mask_token', 'decoder_', 'norm.', 'fc_norm.', 'head.')
    may_lack = ('pyramid.', )
    implies = dict(norm_eps=1e-6, patch_padding=1)


@ADAPTERS.register_module()
class InternImageAdapter(TableAdapter):
    """InternImage (arXiv 2211.05778) and MTP's."""

    name = 'InternImage'
    needs = ('levels.0.blocks.0.dcn.offset.weight', )
    rows = (*((f'patch_embed.conv{i + 1}.', f'patch_embed.{i}.conv.') for i in range(2)),
            *((f'patch_embed.norm{i + 1}.1.', f'patch_embed.{i}.norm.') for i in range(2)),
            ('levels.*.blocks.*.norm1.0.', 'levels.*.blocks.*.norm1.'),
            ('levels.*.blocks.*.norm2.0.', 'levels.*.blocks.*.norm2.'),
            ('levels.*.blocks.*.dcn.dw_conv.0.', 'levels.*.blocks.*.dcn.dw_conv.'),
            ('levels.*.blocks.*.dcn.dw_conv.1.1.', 'levels.*.blocks.*.dcn.norm.'),
            ('levels.*.blocks.*.mlp.fc1.', 'levels.*.blocks.*.mlp.layers.0.0.'),
            ('levels.*.blocks.*.mlp.fc2.', 'levels.*.blocks.*.mlp.layers.1.'),
            ('levels.*.downsample.norm.1.', 'levels.*.downsample.norm.'),
            *same('levels.*.blocks.*.gamma1', 'levels.*.blocks.*.gamma2', 'levels.*.downsample.conv.',
                  *(f'levels.*.blocks.*.dcn.{part}.' for part in ('offset', 'mask', 'input_proj', 'output_proj'))))
    # The classifier of ImageNet.
    may_drop = ('conv_head.', 'head.')


def unfold_order(value: Tensor, back: bool) -> Tensor:
    """Exchange the order in which four cells are merged: theirs is cell by cell, down the columns; mmcv's is channel by
    channel, along the rows.
    """
    channels = value.shape[-1] // 4
    order = [0, 2, 1, 3]
    if back:
        return value.unflatten(-1, (channels, 4))[..., order].transpose(-1, -2).flatten(-2)
    return value.unflatten(-1, (4, channels))[..., order, :].transpose(-1, -2).flatten(-2)


@ADAPTERS.register_module()
class Swin(TableAdapter):
    """Swin (arXiv 2103.14030) of its authors, GFM (arXiv 2302.04476) and SimMIM, for mmseg's class."""

    name = 'Swin'
    needs = ('layers.0.blocks.0.attn.relative_position_bias_table', 'patch_embed.proj.weight')
    rows = (('patch_embed.proj.', 'patch_embed.projection.'), *same('patch_embed.norm.', 'norm0.', 'norm1.', 'norm2.'),
            ('norm3.', 'norm3.'), ('norm.', 'norm3.'),
            *((f'layers.*.blocks.*.{theirs}', f'stages.*.blocks.*.{ours}') for theirs, ours in (
                ('norm1.', 'norm1.'), ('norm2.', 'norm2.'), ('mlp.fc1.', 'ffn.layers.0.0.'),
                ('mlp.fc2.', 'ffn.layers.1.'), ('attn.qkv.', 'attn.w_msa.qkv.'), ('attn.proj.', 'attn.w_msa.proj.'),
                ('attn.relative_position_bias_table', 'attn.w_msa.relative_position_bias_table'))),
            ('layers.*.downsample.reduction.', 'stages.*.downsample.reduction.'),
            ('layers.*.downsample.norm.', 'stages.*.downsample.norm.'))
    # Which entry of a table belongs to which pair of cells the encoder knows.
    may_drop = ('layers.*.blocks.*.attn.relative_position_index', 'layers.*.blocks.*.attn_mask', 'mask_token', 'head.')
    # Pre-training has one norm, behind the last stage.
    may_lack = (('norm0.', 'norm1.', 'norm2.'), 'stages.*.blocks.*.attn.w_msa.relative_position_index')
    changes = ((f'{ENCODER}stages.*.downsample.', unfold_order), )


@ADAPTERS.register_module()
class RVSAViT(ViTAdapter):
    """RVSA (arXiv 2208.03987), SAMRS (arXiv 2305.02034), MTP (arXiv 2403.13430) and S5's copy of it."""

    name = 'RVSA / SAMRS / MTP'
    needs = ('blocks.0.attn.qkv.weight', 'blocks.0.attn.rel_pos_h', 'blocks.0.attn.relative_position_bias_table')
    rows = (*same(TABLE, 'norm.'), *STEM, *BLOCKS, *MLP, *FPN, ('blocks.*.attn.rel_pos_', 'layers.*.attn.rel_pos_'),
            ('blocks.*.attn.relative_position_bias_table', 'layers.*.attn.relative_position_bias_table'),
            ('blocks.*.attn.full_attn_rel_pos_', 'layers.*.attn.full_rel_pos_'),
            *((f'blocks.*.attn.sampling_{what}{of}.2.', f'layers.*.attn.sampling{where}.{what}.')
              for of, where in (('', ''), ('_k', ''), ('_v', '_v')) for what in ('offsets', 'scales', 'angles')))
    may_drop = ('norm.', 'blocks.*.attn.relative_position_index')
    may_lack = ('pyramid.', )
    implies = dict(norm_eps=1e-6)

    def to_model(self, state: Weights, prefix: str) -> Weights:
        """See :class:`StateDictAdapter`. Files of RVSA name the tables of full attention as those of windows."""
        windows = {name.removesuffix('ative_position_bias_table') for name in state}
        return super().to_model({
            name.replace('.attn.rel_pos_', '.attn.full_attn_rel_pos_')
            if '.attn.rel_pos_' in name and name.partition('_pos_')[0] not in windows else name: value
            for name, value in state.items()}, prefix)


@ADAPTERS.register_module()
class HuggingFaceDINOv2(TableAdapter):
    """DINOv2 under the names of Hugging Face's transformers."""

    name = 'Hugging Face DINOv2'
    needs = ('encoder.layer.0.attention.attention.query.weight', 'embeddings.position_embeddings',
             'encoder.layer.0.layer_scale1.lambda1')
    joins = (tuple(f'encoder.layer.*.attention.{part}.' for part in (
        'attention.query', 'attention.key', 'attention.value', 'qkv')), )
    rows = (('embeddings.cls_token', 'cls_token'), ('embeddings.position_embeddings', TABLE),
            ('embeddings.register_tokens', 'registers'),
            ('embeddings.patch_embeddings.projection.', 'patch_embed.projection.'), ('layernorm.', 'norm.'),
            *((f'encoder.layer.*.{theirs}', f'layers.*.{ours}') for theirs, ours in (
                ('norm1.', 'ln1.'), ('norm2.', 'ln2.'), ('attention.qkv.', 'attn.qkv.'),
                ('attention.output.dense.', 'attn.proj.'), ('layer_scale1.lambda1', 'attn.gamma1.weight'),
                ('layer_scale2.lambda1', 'ffn.gamma2.weight'), ('mlp.fc1.', 'ffn.layers.0.0.'),
                ('mlp.fc2.', 'ffn.layers.1.'), ('mlp.weights_in.', 'ffn.w12.'), ('mlp.weights_out.', 'ffn.w3.'))))
    may_drop = ('embeddings.mask_token', )
    may_lack = ('pyramid.', )
    implies = dict(norm_eps=1e-6)


@ADAPTERS.register_module()
class InternViT(TableAdapter):
    """InternViT with layer norms, alone or as the encoder of an InternVL model, such as ViTP (arXiv 2509.17562)."""

    name = 'InternViT'
    needs = ('encoder.layers.0.attn.qkv.weight', 'embeddings.class_embedding', 'embeddings.position_embedding',
             'encoder.layers.0.ls1')
    rows = (('embeddings.class_embedding', 'cls_token'), ('embeddings.position_embedding', TABLE),
            ('embeddings.patch_embedding.', 'patch_embed.projection.'),
            *((f'encoder.layers.*.{theirs}', f'layers.*.{ours}') for theirs, ours in (
                ('norm1.', 'ln1.'), ('norm2.', 'ln2.'), ('attn.qkv.', 'attn.qkv.'), ('attn.proj.', 'attn.proj.'),
                ('ls1', 'attn.gamma1.weight'), ('ls2', 'ffn.gamma2.weight'), ('mlp.fc1.', 'ffn.layers.0.0.'),
                ('mlp.fc2.', 'ffn.layers.1.'))))
    may_lack = ('pyramid.', )
    implies = dict(norm_eps=1e-6)
    others = ()


@ADAPTERS.register_module()
class HuggingFaceDINOv3(TableAdapter):
    """DINOv3 under the names of Hugging Face's transformers; keys have no bias, and periods are not stored."""

    name = 'Hugging Face DINOv3'
    needs = ('layer.0.attention.q_proj.weight', 'embeddings.register_tokens')
    joins = (tuple(f'layer.*.attention.{part}.' for part in ('q_proj', 'k_proj', 'v_proj', 'qkv')), )
    common = (('embeddings.cls_token', 'cls_token'), ('embeddings.register_tokens', 'registers'),
              ('embeddings.patch_embeddings.', 'patch_embed.projection.'), ('norm.', 'norm.'),
              *((f'layer.*.{theirs}', f'layers.*.{ours}') for theirs, ours in (
                  ('norm1.', 'ln1.'), ('norm2.', 'ln2.'), ('attention.qkv.', 'attn.qkv.'),
                  ('attention.o_proj.', 'attn.proj.'), ('layer_scale1.lambda1', 'attn.gamma1.weight'),
                  ('layer_scale2.lambda1', 'ffn.gamma2.weight'))))
    rows = (*common, ('layer.*.mlp.up_proj.', 'layers.*.ffn.layers.0.0.'),
            ('layer.*.mlp.down_proj.', 'layers.*.ffn.layers.1.'))
    may_drop = ('embeddings.mask_token', )
    may_lack = ('pyramid.', 'rope.')
    implies = dict(norm_eps=1e-5)

    def to_model(self, state: Weights, prefix: str) -> Weights:
        """See :class:`StateDictAdapter`. The third of the biases that keys would have has no effect."""
        keys = {name.replace('.q_proj.bias', '.k_proj.bias'): torch.zeros_like(value)
                for name, value in state.items() if name.endswith('.attention.q_proj.bias')}
        return super().to_model(keys | state, prefix)


@ADAPTERS.register_module()
class HuggingFaceGatedDINOv3(HuggingFaceDINOv3):
    """The same with gated FFNs."""

    name = 'Hugging Face DINOv3 with SwiGLU'
    needs = ('layer.0.attention.q_proj.weight', 'embeddings.register_tokens', 'layer.0.mlp.gate_proj.weight')
    joins = (*HuggingFaceDINOv3.joins, tuple(f'layer.*.mlp.{part}.' for part in ('gate_proj', 'up_proj', 'w12')))
    rows = (*HuggingFaceDINOv3.common, ('layer.*.mlp.w12.', 'layers.*.ffn.w12.'),
            ('layer.*.mlp.down_proj.', 'layers.*.ffn.w3.'))


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
    rows = ((OLD_EXPERTS, EXPERTS), *COMMON, *FUSED, *FPN)
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

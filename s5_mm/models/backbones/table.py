"""Encoders by name: one line in any config."""
from typing import NamedTuple

from s5_mm.registry import MODELS

from .encoder import Encoder


class EncoderEntry(NamedTuple):
    """One encoder of the table.

    Attributes:
        cfg: Its config.
        options: Options of all encoders (``img_size``, ``drop_path_rate``, ``with_cp``) -> their names in the encoder's
            own config; ``None`` where it has no such option, and the option is ignored.
        license: Of the public weights.
        weights: Where public weights are.
    """

    cfg: dict
    options: dict[str, str | None]
    license: str
    weights: str


S5_OPTIONS = dict(img_size='img_size', drop_path_rate='drop_path_rate', with_cp='with_cp')
MAE = 'MAE on MillionAID, see docs/weights.md'


def _s5(arch: str, **options: object) -> EncoderEntry:
    return EncoderEntry(dict(type='s5_mm.ViT', arch=arch, **options), S5_OPTIONS, 'as published by S5', MAE)


ENCODERS = {
    'vit-t': _s5('tiny', patch_size=8),
    'vit-b': _s5('base'),
    'vit-l': _s5('large'),
    'vit-h': _s5('huge'),
    'swin-t': EncoderEntry(
        dict(type='s5_mm.HostEncoder', encoder=dict(
            type='mmseg.SwinTransformer', embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24), window_size=7)),
        dict(img_size=None, drop_path_rate='encoder.drop_path_rate', with_cp='encoder.with_cp'),
        'MIT', 'Swin-T on ImageNet, mmseg\'s and mmpretrain\'s model zoos'),
    'mit-b0': EncoderEntry(
        dict(type='s5_mm.HostEncoder', encoder=dict(
            type='mmseg.MixVisionTransformer', embed_dims=32, num_layers=(2, 2, 2, 2), num_heads=(1, 2, 5, 8),
            patch_sizes=(7, 3, 3, 3), sr_ratios=(8, 4, 2, 1), out_indices=(0, 1, 2, 3))),
        dict(img_size=None, drop_path_rate='encoder.drop_path_rate', with_cp='encoder.with_cp'),
        'NVIDIA source code license (non-commercial)', 'SegFormer\'s MiT-B0 on ImageNet, mmseg\'s model zoo'),
    'resnet50': EncoderEntry(
        dict(type='s5_mm.HostEncoder', encoder=dict(
            type='mmdet.ResNet', depth=50, norm_cfg=dict(type='BN'), style='pytorch')),
        dict(img_size=None, drop_path_rate=None, with_cp='encoder.with_cp'),
        'BSD-3-Clause', 'torchvision://resnet50'),
}


@MODELS.register_module(name='NamedEncoder')
def named_encoder(name: str, experts: dict | None = None, init_cfg: dict | None = None, **options: object) -> Encoder:
    """Build an encoder of :data:`ENCODERS`.

    Args:
        name: Its name, e.g. ``'vit-b'``.
        experts: See :class:`s5_mm.models.backbones.encoder.Encoder`.
        init_cfg: MMEngine's initialization.
        options: ``img_size``, ``drop_path_rate`` and ``with_cp``, which the table translates; others are those of the
            entry's ``type``.

    Raises:
        ValueError: The name is unknown.
    """
    if name not in ENCODERS:
        raise ValueError(f'NamedEncoder: name is {name!r}; choose from {list(ENCODERS)}.')
    entry = ENCODERS[name]
    cfg = dict(entry.cfg)
    for option, value in options.items():
        own = entry.options.get(option, option)
        if own is not None and own.startswith('encoder.'):
            cfg['encoder'] = dict(cfg['encoder'], **{own.removeprefix('encoder.'): value})
        elif own is not None:
            cfg[own] = value
    return MODELS.build(dict(cfg, experts=experts, init_cfg=init_cfg))

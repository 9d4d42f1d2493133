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
        paper: Name and number at arXiv.
        code: License of the authors' code.
        license: Of the public weights.
        weights: Where public weights are.
        note: What a user must know.
    """

    cfg: dict
    options: dict[str, str | None]
    paper: str
    code: str
    license: str
    weights: str
    note: str = ''


TIMM = 'timm:'
VIT_OPTIONS = dict(img_size='img_size', drop_path_rate='drop_path_rate', with_cp='with_cp')
SWIN_OPTIONS = dict(img_size=None, drop_path_rate='encoder.drop_path_rate', with_cp='encoder.with_cp')


def _s5(arch: str, **options: object) -> EncoderEntry:
    return EncoderEntry(
        dict(type='s5_mm.ViT', arch=arch, **options), VIT_OPTIONS, 'S5, 2508.12409', 'Apache-2.0', 'as published by S5',
        'S5; or MAE on MillionAID, see docs/weights.md')


def _mae(arch: str | dict, paper: str, code: str, license: str, weights: str, note: str = '',
         **options: object) -> EncoderEntry:
    """A plain ViT as MAE has it: eps 1e-6, drop path on both branches."""
    return EncoderEntry(
        dict(type='s5_mm.ViT', arch=arch, norm_eps=1e-6, drop_path_on_attention=True, **options), VIT_OPTIONS, paper,
        code, license, weights, note)


def _selectivemae(arch: str) -> EncoderEntry:
    return _mae(arch, 'SelectiveMAE, 2406.11933', 'MIT', 'MIT', 'huggingface.co/initiacms/SelectiveMAE',
                'without class token, as the authors fine-tune; that of a pre-training file is dropped')


def _rvsa(arch: str, interval: int, full: dict, paper: str, code: str, weights: str, note: str = '',
          separate: bool = False, **options: object) -> EncoderEntry:
    """Attention in windows, and in every ``interval``-th block full attention."""
    attention = [dict(type='s5_mm.RVSA', separate=separate)] * (interval - 1) + [full]
    return _mae(arch, paper, code, code, weights, note, attention=attention, **options)


def _dinov2(arch: str | dict, name: str, registers: int = 0, **options: object) -> EncoderEntry:
    return EncoderEntry(
        dict(type='s5_mm.ViT', arch=arch, img_size=518, patch_size=14, norm_eps=1e-6, class_token=True,
             registers=registers, layer_scale=1e-5, final_norm=True, drop_path_on_attention=True,
             position_table='antialias' if registers else 'offset', **options),
        dict(VIT_OPTIONS, img_size=None), 'DINOv2, 2304.07193', 'Apache-2.0', 'Apache-2.0',
        f'dl.fbaipublicfiles.com/dinov2/{name}/{name}{"_reg4" if registers else ""}_pretrain.pth',
        'the table stays that of 518 px and is resized in each pass, as published')


def _dinov3(arch: str | dict, name: str, note: str = '', **options: object) -> EncoderEntry:
    return EncoderEntry(
        dict(type='s5_mm.ViT', arch=arch, class_token=True, registers=4, layer_scale=1e-5, final_norm=True,
             drop_path_on_attention=True, position_table=None, rope=dict(type='s5_mm.RotaryEmbedding'),
             attention=dict(type='s5_mm.RotaryAttention'), **options),
        VIT_OPTIONS, 'DINOv3, 2508.10104', 'DINOv3 License', 'DINOv3 License; gated', f'huggingface.co/facebook/{name}',
        note)


def _intern(paper: str, license: str, weights: str, note: str) -> EncoderEntry:
    """InternViT-300M, the encoder of InternVL's small models."""
    return EncoderEntry(
        dict(type='s5_mm.ViT', arch='large', img_size=448, patch_size=14, norm_eps=1e-6, class_token=True,
             layer_scale=0.1, drop_path_on_attention=True),
        dict(VIT_OPTIONS, img_size=None), paper, 'MIT (InternVL)', license, weights, note)


def _swin(arch: dict, window: int, paper: str, code: str, license: str, weights: str, note: str = '') -> EncoderEntry:
    return EncoderEntry(
        dict(type='s5_mm.HostEncoder', encoder=dict(type='mmseg.SwinTransformer', window_size=window, **arch)),
        SWIN_OPTIONS, paper, code, license, weights, note)


def _prithvi(arch: str | dict, name: str, patch_size: int) -> EncoderEntry:
    return EncoderEntry(
        dict(type='s5_mm.ViT', arch=arch, img_size=224, patch_size=patch_size, class_token=True,
             position_table='align_corners', drop_path_on_attention=True, **HLS),
        dict(VIT_OPTIONS, img_size=None), 'Prithvi-EO-2.0, 2412.02732', 'MIT', 'see its page',
        f'huggingface.co/ibm-nasa-geospatial/{name}',
        'one frame of six bands of HLS: B02, B03, B04, B8A, B11, B12; the table is trained, the authors\' is fixed; '
        'not compared with the authors\' module')


def _dofa(arch: str) -> EncoderEntry:
    return EncoderEntry(
        dict(type='s5_mm.DOFA', arch=arch, norm_eps=1e-6, drop_path_on_attention=True, wavelengths=(0.665, 0.56, 0.49)),
        VIT_OPTIONS, 'DOFA, 2403.15356', 'MIT (torchgeo)', 'CC-BY-4.0', 'huggingface.co/earthflow/DOFA',
        'option wavelengths: micrometers of each band, red, green and blue of Sentinel-2 by default; the kernel is '
        'computed for them when a file is loaded; normalization depends on the sensor (mean, std), ImageNet\'s is ours')


SWIGLU = dict(type='s5_mm.SwiGLU')
FULL, RELATIVE = dict(type='s5_mm.SelfAttention'), dict(type='s5_mm.RelativeAttention', grid=None)
RVSA = ('RVSA, 2208.03987', 'MIT', 'github.com/ViTAE-Transformer/Remote-Sensing-RVSA')
MTP = ('MTP, 2403.13430', 'MIT', 'github.com/ViTAE-Transformer/MTP')
DETECTION = 'as its authors detect: all four maps are made of the last block behind the final norm'
# As published, MTP detects without the relative positions of full attention, which its files have.
MTP_DETECTION = dict(final_norm=True, may_drop=('layers.*.attn.full_rel_pos_', ))
SWIN = ('Swin Transformer, 2103.14030', 'MIT', 'MIT')
SWIN_T = dict(embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24))
SWIN_B = dict(embed_dims=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32))
DINO_INDICES = dict(small=(2, 5, 8, 11), base=(2, 5, 8, 11), large=(4, 11, 17, 23))
VIT_G = dict(
    embed_dims=1408, num_layers=40, num_heads=16, feedforward_channels=5632, out_indices=(9, 19, 29, 39))
OREOLE_G = dict(
    embed_dims=1536, num_layers=32, num_heads=16, feedforward_channels=6144, out_indices=(7, 15, 23, 31))
GIANT_DINOV2 = dict(
    embed_dims=1536, num_layers=40, num_heads=24, feedforward_channels=4096, out_indices=(9, 19, 29, 39))
HUGE_DINOV3 = dict(embed_dims=1280, num_layers=32, num_heads=20, feedforward_channels=5120, out_indices=(7, 15, 23, 31))
LARGEST_DINOV3 = dict(
    embed_dims=4096, num_layers=40, num_heads=32, feedforward_channels=8192, out_indices=(9, 19, 29, 39))
# Of fMoW-Sentinel, bands B2 to B8, B8A, B11 and B12: mean and standard deviation, from which SatMAE++ makes the range
# [mean - 2 std, mean + 2 std] that becomes [0, 1].
SENTINEL_MEAN = (1184.3824625, 1120.77120066, 1136.26026392, 1263.73947144, 1645.40315151, 1846.87040806, 1762.59530783,
                 1972.62420416, 1732.16362238, 1247.91870117)
SENTINEL_STD = (650.2842772, 712.12507725, 965.23119807, 948.9819932, 1108.06650639, 1258.36394548, 1233.1492281,
                1364.38688993, 1310.36996126, 1087.6020813)
# Of HLS, reflectance times 10,000.
HLS = dict(in_channels=6, mean=(1087.0, 1342.0, 1433.0, 2734.0, 1958.0, 1363.0),
           std=(2248.0, 2179.0, 2178.0, 1850.0, 1242.0, 1049.0))
HUGE_PRITHVI = dict(
    embed_dims=1280, num_layers=32, num_heads=16, feedforward_channels=5120, out_indices=(7, 15, 23, 31))
# Of SAT-493M, satellite images of 0.6 m a pixel.
SAT = dict(mean=(109.65, 104.805, 75.48), std=(54.315, 39.78, 36.465))


ENCODERS = {
    'vit-t': _s5('tiny', patch_size=8),
    'vit-b': _s5('base'),
    'vit-l': _s5('large'),
    'vit-h': _s5('huge'),
    'vit-g': _mae(VIT_G, 'BillionFM, 2304.05215; OREOLE, 2410.19965', 'none', 'none', 'none are public',
                  'the ViT-G that S5 counts for both; their own are other ones'),
    'oreole-g': _mae(OREOLE_G, 'OREOLE, 2410.19965', 'none', 'none', 'announced, none are public',
                     'width, depth and MLP of its predecessor; heads are a guess'),
    'ma3e-b': _mae(
        'base', 'MA3E, 2408.01946', 'none stated', 'none stated', 'github.com/benesakitam/MA3E, no link yet',
        class_token=True),
    'selectivemae-b': _selectivemae('base'),
    'selectivemae-l': _selectivemae('large'),
    'satmaepp-l-rgb': _mae(
        'large', 'SatMAE++, 2403.05419', 'Apache-2.0', 'Apache-2.0',
        'huggingface.co/mubashir04/checkpoint_ViT-L_pretrain_fmow_rgb', class_token=True,
        mean=(106.641, 107.4825, 101.7705), std=(73.3635, 70.227, 70.482)),
    'satmaepp-l-sentinel': EncoderEntry(
        dict(type='s5_mm.BandGroupViT', arch='large', patch_size=8, norm_eps=1e-6, drop_path_on_attention=True,
             groups=((0, 1, 2, 6), (3, 4, 5, 7), (8, 9)),
             mean=tuple(mean - 2 * std for mean, std in zip(SENTINEL_MEAN, SENTINEL_STD, strict=True)),
             std=tuple(4 * std for std in SENTINEL_STD)),
        VIT_OPTIONS, 'SatMAE++, 2403.05419', 'Apache-2.0', 'Apache-2.0',
        'huggingface.co/mubashir04/checkpoint_ViT-L_pretrain_fmow_sentinel',
        'ten bands of Sentinel-2: B2-B8, B8A, B11, B12; maps are means over the groups of bands, which is ours; the '
        'authors also clip to [0, 1] and round to 256 steps'),
    'scalemae-l': EncoderEntry(
        dict(type='s5_mm.ScaleMAE', arch='large', norm_eps=1e-6, class_token=True, drop_path_on_attention=True),
        VIT_OPTIONS, 'Scale-MAE, 2212.14532', 'CC-BY-NC-4.0', 'CC-BY-NC-4.0',
        'github.com/bair-climate-initiative/scale-mae, scalemae-vitlarge-800.pth',
        'gsd of a sample, or option gsd: meters a pixel; a file without its decoder cannot be told from MAE\'s'),
    'rvsa-b': _rvsa('base', 3, RELATIVE, *RVSA),
    'rvsa-b-det': _rvsa('base', 3, RELATIVE, *RVSA, DETECTION, out_indices=(11, ) * 4, final_norm=True),
    'rvsa-b-diamond': _rvsa('base', 3, RELATIVE, *RVSA, 'keys and values are sampled at places of their own', True),
    'samrs-b': _rvsa(
        'base', 3, FULL, 'SAMRS, 2305.02034', 'none stated; for research only', 'github.com/ViTAE-Transformer/SAMRS',
        'no position table', position_table=None),
    'mtp-b': _rvsa('base', 3, RELATIVE, *MTP),
    'mtp-b-det': _rvsa('base', 3, FULL, *MTP, DETECTION, out_indices=(11, ) * 4, **MTP_DETECTION),
    'mtp-l': _rvsa('large', 6, RELATIVE, *MTP),
    'mtp-l-det': _rvsa('large', 6, FULL, *MTP, DETECTION, out_indices=(23, ) * 4, **MTP_DETECTION),
    'vitp-l': _intern(
        'ViTP, 2509.17562', 'CC-BY-NC', 'github.com/zcablii/ViTP',
        'the encoder of an InternVL file, below vision_model or alone; the table stays that of 448 px; compared with '
        'another implementation, not with the authors\' file'),
    'internvit-300m': _intern(
        'InternVL 1.5, 2404.16821', 'MIT', 'huggingface.co/OpenGVLab/InternViT-300M-448px', 'where ViTP starts from'),
    **{f'dinov2-{size[0]}{"-reg" if registers else ""}': _dinov2(
        size, f'dinov2_vit{size[0]}14', registers, out_indices=indices)
       for registers in (0, 4) for size, indices in DINO_INDICES.items()},
    'dinov2-g': _dinov2(GIANT_DINOV2, 'dinov2_vitg14', ffn=SWIGLU),
    'dinov2-g-reg': _dinov2(GIANT_DINOV2, 'dinov2_vitg14', 4, ffn=SWIGLU),
    **{f'dinov3-{size[0]}': _dinov3(size, f'dinov3-vit{size[0]}16-pretrain-lvd1689m', out_indices=indices)
       for size, indices in DINO_INDICES.items()},
    'dinov3-s-plus': _dinov3('small', 'dinov3-vits16plus-pretrain-lvd1689m', ffn=SWIGLU,
                             out_indices=DINO_INDICES['small']),
    'dinov3-h-plus': _dinov3(HUGE_DINOV3, 'dinov3-vith16plus-pretrain-lvd1689m', ffn=SWIGLU),
    'dinov3-7b': _dinov3(LARGEST_DINOV3, 'dinov3-vit7b16-pretrain-lvd1689m', ffn=SWIGLU, qkv_bias=False),
    'dinov3-l-sat': _dinov3('large', 'dinov3-vitl16-pretrain-sat493m', 'satellite images of 0.6 m a pixel',
                            out_indices=DINO_INDICES['large'], **SAT),
    'dinov3-7b-sat': _dinov3(LARGEST_DINOV3, 'dinov3-vit7b16-pretrain-sat493m', 'satellite images of 0.6 m a pixel',
                             ffn=SWIGLU, qkv_bias=False, **SAT),
    'prithvi-eo2-l': _prithvi('large', 'Prithvi-EO-2.0-300M', 16),
    'prithvi-eo2-h': _prithvi(HUGE_PRITHVI, 'Prithvi-EO-2.0-600M', 14),
    'dofa-b': _dofa('base'),
    'dofa-l': _dofa('large'),
    'satlasnet-b-aerial': EncoderEntry(
        dict(type='s5_mm.HostEncoder', encoder=dict(type='s5_mm.SwinTransformerV2'), second_linear=r'mlp\.3$',
             mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0)),
        SWIN_OPTIONS, 'SatlasPretrain, 2211.15660', 'Apache-2.0', 'ODC-BY', 'huggingface.co/allenai/satlas-pretrain',
        'aerial images of 0.5-2 m a pixel; the files of one image a place'),
    'internimage-xl': EncoderEntry(
        dict(type='s5_mm.InternImage'), dict(img_size=None, drop_path_rate='drop_path_rate', with_cp='with_cp'),
        'MTP, 2403.13430', 'MIT', 'MIT', 'github.com/ViTAE-Transformer/MTP',
        'the deformable convolution is plain torch, slower than the authors\' CUDA operator'),
    'swin-t': _swin(SWIN_T, 7, *SWIN, 'Swin-T on ImageNet, mmseg\'s and mmpretrain\'s model zoos'),
    'swin-b': _swin(SWIN_B, 7, *SWIN, 'github.com/microsoft/Swin-Transformer'),
    'gfm-b': _swin(SWIN_B, 6, 'GFM, 2302.04476', 'Apache-2.0', 'Apache-2.0', 'github.com/mmendiet/GFM',
                   'all windows shift, as dense Swins do; norms of the first three maps are new'),
    'mit-b0': EncoderEntry(
        dict(type='s5_mm.HostEncoder', encoder=dict(
            type='mmseg.MixVisionTransformer', embed_dims=32, num_layers=(2, 2, 2, 2), num_heads=(1, 2, 5, 8),
            patch_sizes=(7, 3, 3, 3), sr_ratios=(8, 4, 2, 1), out_indices=(0, 1, 2, 3))),
        SWIN_OPTIONS, 'SegFormer, 2105.15203', 'NVIDIA source code license (non-commercial)',
        'NVIDIA source code license (non-commercial)', 'SegFormer\'s MiT-B0 on ImageNet, mmseg\'s model zoo'),
    'resnet50': EncoderEntry(
        dict(type='s5_mm.HostEncoder', encoder=dict(
            type='mmdet.ResNet', depth=50, norm_cfg=dict(type='BN'), style='pytorch')),
        dict(img_size=None, drop_path_rate=None, with_cp='encoder.with_cp'),
        'ResNet, 1512.03385', 'BSD-3-Clause', 'BSD-3-Clause', 'torchvision://resnet50'),
}


@MODELS.register_module(name='NamedEncoder')
def named_encoder(name: str, experts: dict | None = None, init_cfg: dict | None = None, **options: object) -> Encoder:
    """Build an encoder of :data:`ENCODERS`.

    Args:
        name: Its name, e.g. ``'vit-b'``; or ``timm:`` and a name in timm, see
            :class:`s5_mm.models.backbones.TimmEncoder`.
        experts: See :class:`s5_mm.models.backbones.encoder.Encoder`.
        init_cfg: MMEngine's initialization.
        options: ``img_size``, ``drop_path_rate`` and ``with_cp``, which the table translates; others are those of the
            entry's ``type``.

    Raises:
        ValueError: The name is unknown.
    """
    if name.startswith(TIMM):
        return MODELS.build(dict(options, type='s5_mm.TimmEncoder', model=name.removeprefix(TIMM), experts=experts,
                                 init_cfg=init_cfg))
    if name not in ENCODERS:
        raise ValueError(f'NamedEncoder: name is {name!r}; choose from {list(ENCODERS)}, or give timm:NAME.')
    entry = ENCODERS[name]
    cfg = dict(entry.cfg)
    for option, value in options.items():
        own = entry.options.get(option, option)
        if own is not None and own.startswith('encoder.'):
            cfg['encoder'] = dict(cfg['encoder'], **{own.removeprefix('encoder.'): value})
        elif own is not None:
            cfg[own] = value
    return MODELS.build(dict(cfg, experts=experts, init_cfg=init_cfg))

"""Fill into configs what the encoder states, so that no number stands twice. Other backbones state nothing."""
import copy
import math
from collections.abc import Sequence

import numpy as np
from torch import nn

from .encoder import Encoder

USUAL_STRIDES = (4, 8, 16, 32)
OF_BANDS = {'SegDataPreProcessor': 's5_mm.BandSegDataPreProcessor',
            'DetDataPreprocessor': 's5_mm.BandDetDataPreprocessor'}


def complete_head(cfg: dict, backbone: nn.Module | None) -> dict:
    """A head's or neck's config with the ``in_channels`` that its ``in_index`` asks for, unless it has them.

    Args:
        cfg: Not changed. Without ``in_index``: a neck, which takes all maps.
        backbone: What states the channels.
    """
    cfg = copy.deepcopy(cfg)
    if isinstance(backbone, Encoder) and 'in_channels' not in cfg:
        index = cfg.get('in_index', list(range(len(backbone.out_channels))))
        several = isinstance(index, list | tuple)
        cfg['in_channels'] = [backbone.out_channels[i] for i in index] if several else backbone.out_channels[index]
    return cfg


def complete_strides(cfg: dict, backbone: nn.Module) -> dict:
    """A detector's config with the strides of anchors and of maps for RoIs, unless it has them.

    Args:
        cfg: Of neck and heads; not changed.
        backbone: What states them; one that states nothing has those of the usual four stages. A further map of the
            neck has twice the stride of the one before.
    """
    cfg = copy.deepcopy(cfg)
    strides = list(backbone.map_strides if isinstance(backbone, Encoder) else USUAL_STRIDES)
    further = cfg.get('neck', {}).get('num_outs', len(strides)) - len(strides)
    for head in ('rpn_head', 'bbox_head'):
        anchors = cfg.get(head, {}).get('anchor_generator')
        if anchors is not None:
            anchors.setdefault('strides', strides + [strides[-1] * 2**(i + 1) for i in range(further)])
    extractor = cfg.get('roi_head', {}).get('bbox_roi_extractor')
    if extractor is not None:
        extractor.setdefault('featmap_strides', strides)
    return cfg


def complete_preprocessor(cfg: dict | None, backbone: nn.Module) -> dict | None:
    """A data preprocessor's config with what the encoder states about its input, unless it says so itself.

    ``mean`` and ``std`` normalize as the encoder's weights expect, of any number of bands. An encoder of a sensor's
    values needs ``value_range``, the values of that sensor that loading made 0 and 255 (:class:`s5_mm.LoadGeoTIFF`):
    (low, high), or such a pair for each band. Test images of mmseg's
    preprocessor are padded to multiples of the encoder's divisor, and its ``size`` of training crops is rounded up to
    them. The divisor of a detector's images becomes a multiple of the encoder's.

    Args:
        cfg: Not changed.
        backbone: What states them.

    Raises:
        ValueError: The encoder expects a sensor's values, and nothing says which of them images have.
    """
    if not cfg or not isinstance(backbone, Encoder):
        return cfg
    cfg = copy.deepcopy(cfg)
    value_range = cfg.pop('value_range', None)
    if 'mean' not in cfg:
        cfg['mean'], cfg['std'] = normalization(backbone, value_range)
    # The hosts' own take one band or three.
    if cfg['mean'] is not None and len(cfg['mean']) not in (1, 3):
        cfg['type'] = OF_BANDS.get(cfg['type'].rpartition('.')[2], cfg['type'])
    if cfg['type'].endswith('SegDataPreProcessor'):
        cfg.setdefault('test_cfg', dict(size_divisor=backbone.divisor))
        if cfg.get('size') is not None:
            cfg['size'] = tuple(-(-side // backbone.divisor) * backbone.divisor for side in cfg['size'])
    if 'pad_size_divisor' in cfg:
        cfg['pad_size_divisor'] = math.lcm(cfg['pad_size_divisor'], backbone.divisor)
    return cfg


def normalization(backbone: Encoder, value_range: Sequence | None) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each band of 8-bit images, as the encoder's weights expect them.

    Args:
        backbone: What states them for its own values.
        value_range: See :func:`complete_preprocessor`.
    """
    mean, std = np.asarray(backbone.mean, np.float64), np.asarray(backbone.std, np.float64)
    if value_range is None:
        if max(abs(mean).max(), std.max()) > 255:
            raise ValueError(
                f'{type(backbone).__name__}: the encoder was trained on values of a sensor, with the mean '
                f'{mean.round(1).tolist()}, and images have 8 bits; set data_preprocessor.value_range to the values '
                'that become 0 and 255 when images are loaded, as value_range of s5_mm.LoadGeoTIFF, or set '
                'data_preprocessor.mean and std.')
        return list(backbone.mean), list(backbone.std)
    low, high = np.broadcast_to(np.asarray(value_range, np.float64), (len(mean), 2)).T
    return ((mean - low) / (high - low) * 255).tolist(), (std / (high - low) * 255).tolist()

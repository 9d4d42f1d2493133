"""Fill into configs what the encoder states, so that no number stands twice. Other backbones state nothing."""
import copy

from torch import nn

from .encoder import Encoder


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


def complete_preprocessor(cfg: dict | None, backbone: nn.Module) -> dict | None:
    """A data preprocessor's config with what the encoder states about its input, unless it says so itself.

    ``mean`` and ``std`` normalize as the encoder's weights expect. Test images of mmseg's preprocessor are padded to
    multiples of the encoder's divisor, and its ``size`` of training crops is rounded up to them.

    Args:
        cfg: Not changed.
        backbone: What states them.
    """
    if not cfg or not isinstance(backbone, Encoder):
        return cfg
    cfg = copy.deepcopy(cfg)
    if 'mean' not in cfg:
        cfg.update(mean=list(backbone.mean), std=list(backbone.std))
    if cfg['type'].endswith('SegDataPreProcessor'):
        cfg.setdefault('test_cfg', dict(size_divisor=backbone.divisor))
        if cfg.get('size') is not None:
            cfg['size'] = tuple(-(-side // backbone.divisor) * backbone.divisor for side in cfg['size'])
    return cfg

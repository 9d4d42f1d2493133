"""The part of a model that predicts one dataset, as a plain segmentor."""
from collections.abc import Mapping
from typing import Any

from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from s5_mm.checkpoints.segmentor import merge_segmentor
from s5_mm.models import MultiDatasetSegmentor
from s5_mm.models.networks import evaluated_network
from s5_mm.models.segmentors.merging import merged_config
from s5_mm.registry import MODELS


def plain_segmentor(network: nn.Module, cfg: Mapping[str, Any], dataset: str | None) -> EncoderDecoder:
    """Encoder and decode head of a dataset: the teacher or student of S4P, and of several datasets one's own part.

    Args:
        network: A segmentor.
        cfg: Its config.
        dataset: Which dataset, of several. Its expert and the shared part become dense layers.

    Returns:
        In eval mode, on the network's device.

    Raises:
        ValueError: It is a detector, or does not predict by the forward of one head.
    """
    network = evaluated_network(network)
    if isinstance(network, MultiDatasetSegmentor):
        weights, device = merge_segmentor(network.state_dict(), dataset), next(network.parameters()).device
        network = MODELS.build(merged_config(cfg, dataset)).to(device)
        network.load_state_dict(weights)
    if not isinstance(network, EncoderDecoder):
        raise ValueError(f'the model is a {type(network).__name__}; only segmentors of an encoder and a decode head '
                         'can be exported or compiled, detectors cannot.')
    head = network.decode_head
    own = not isinstance(head, BaseDecodeHead) or any(
        getattr(type(head), name) is not getattr(BaseDecodeHead, name) for name in ('predict', 'predict_by_feat'))
    if own:
        raise ValueError(f'the decode head is a {type(head).__name__}, which does more than a forward to predict; '
                         'only heads that predict as mmseg\'s BaseDecodeHead can be exported or compiled.')
    return network.eval()

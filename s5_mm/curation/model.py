"""The segmentor that scores a pool."""
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from torch import nn

from s5_mm.checkpoints import load_weights
from s5_mm.files import sha256_of
from s5_mm.registry import MODELS

from .entropy import largest_entropy


class ScoringModel(NamedTuple):
    """A segmentor with its weights.

    Attributes:
        model: In eval mode, on the device.
        name: Id of the model: name of the config and checksum of the checkpoint.
        largest: The largest possible entropy.
    """

    model: nn.Module
    name: str
    largest: float


def load_scoring_model(cfg: Config, checkpoint: str, background: int | None, renormalize: bool,
                       device: str | None = None) -> ScoringModel:
    """Build a config's model and load a checkpoint, as weights only.

    Args:
        cfg: With ``model``, and the ``filename`` that it was read from.
        checkpoint: A training checkpoint or a ``.safetensors`` file.
        background: Class that does not count in the entropy.
        renormalize: See :func:`s5_mm.curation.mean_entropy`.
        device: Default the GPU, if there is one.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It is damaged, holds code or does not fit, or ``background`` is no class of the model.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = MODELS.build(cfg.model)
    load_weights(model, checkpoint)
    largest = largest_entropy(model.out_channels, background, renormalize)
    name = f'{Path(cfg.filename).stem}-{sha256_of(Path(checkpoint))[:12]}'
    return ScoringModel(model.to(device or get_device()).eval(), name, largest)

"""Find the network inside a model and run it in eval mode."""
import contextlib
from collections.abc import Iterator

from mmengine.model import is_model_wrapper
from mmseg.models import BaseSegmentor
from torch import nn

DEFAULT_DIVISOR = 32
"""Divisor of image sides for encoders that state none: the total stride of the usual four-stage backbones."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, without the wrapper of distributed training if there is one."""
    return model.module if is_model_wrapper(model) else model


def evaluated_network(model: nn.Module) -> nn.Module:
    """The network that a model predicts with.

    A semi-supervised model names it in the attribute ``evaluated`` (its teacher or student); any other model is the
    network itself.
    """
    model = unwrapped(model)
    return getattr(model, 'evaluated', model)


def image_divisor(network: nn.Module) -> int:
    """Number of pixels that the sides of images must be multiples of: ``divisor`` of the network's encoder, or 32."""
    return getattr(network.backbone, 'divisor', DEFAULT_DIVISOR)


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Run a block with the network in eval mode and restore its mode."""
    if not network.training:
        # Switching visits every layer, so it is skipped where it changes nothing.
        yield
        return
    network.eval()
    try:
        yield
    finally:
        network.train()


@contextlib.contextmanager
def predicting(segmentor: BaseSegmentor) -> Iterator[None]:
    """Let a backbone and heads that give several outputs in training give their prediction alone.

    Only their own flag changes: norms and dropout inside them stay in their mode.
    """
    heads = segmentor.decode_head
    parts = [segmentor.backbone, *(heads if isinstance(heads, nn.ModuleList) else [heads])]
    modes = [part.training for part in parts]
    for part in parts:
        part.training = False
    try:
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode

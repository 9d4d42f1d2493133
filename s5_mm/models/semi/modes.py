"""Modes of a network for the length of a block."""
import contextlib
from collections.abc import Iterator

from mmseg.models import BaseSegmentor
from torch import nn


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Hold a network in eval mode."""
    training = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(training)


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

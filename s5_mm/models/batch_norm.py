"""Statistics of batch norms for the images that a network is used on."""
import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """The batch norms of a network that keep statistics."""
    return [module for module in network.modules() if isinstance(module, BATCH_NORMS) and module.track_running_stats]


@contextlib.contextmanager
def counting(network: nn.Module) -> Iterator[None]:
    """Let the batch norms of a network in eval mode learn from what passes in the block; nothing else changes."""
    norms = batch_norms(network)
    for norm in norms:
        norm.train()
    try:
        yield
    finally:
        for norm in norms:
            norm.eval()


@contextlib.contextmanager
def keeping(network: nn.Module) -> Iterator[None]:
    """Give the batch norms their statistics back after the block."""
    kept = [(buffer, buffer.clone()) for norm in batch_norms(network) for buffer in norm.buffers()]
    yield
    for buffer, before in kept:
        buffer.copy_(before)


@torch.no_grad()
def estimate_batch_norms(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Replace the statistics of batch norms by the mean over batches of images.

    Args:
        network: In eval mode; called with each batch.
        batches: Normalized images, each (B, 3, H, W).

    Returns:
        Number of batch norms.

    Raises:
        ValueError: The network has no batch norm.
    """
    norms = batch_norms(network)
    if not norms:
        raise ValueError(f'{type(network).__name__} has no batch norms, so there are no statistics to estimate.')
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches, not a moving average
    with counting(network):
        for images in batches:
            network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return len(norms)

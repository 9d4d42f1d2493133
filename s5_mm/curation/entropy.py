"""Uncertainty of a segmentor about an image: the mean entropy of its pixels (S5, arXiv 2508.12409, Eq. 1)."""
import math

import torch
from torch import Tensor

IMAGES_AT_A_TIME = 4


def mean_entropy(logits: Tensor,
                 background: int | None = None,
                 renormalize: bool = False,
                 valid: Tensor | None = None) -> Tensor:
    """Mean over pixels of -sum_k P_k log P_k, the background class left out.

    Computed in fp32 whatever the precision of the logits. With the softmax written as e_k / s, where
    e_k = exp(logit_k - max), the sum is (c log s - sum_k e_k (logit_k - max)) / s with c = sum_k e_k over the classes
    that count, so one exponential a class and one logarithm a pixel are enough.

    Args:
        logits: (B, K, H, W), any floating type.
        background: Class whose term is left out, 0 ... K-1; ``None`` counts all.
        renormalize: Whether the other classes' probabilities are divided by their sum first. The paper does not say;
            without it an image that is background with certainty has entropy 0, with it the image is judged by what
            else it could be.
        valid: (B, H, W), bool, pixels of the image; padding does not count. ``None``: all count.

    Returns:
        (B,), fp32, in nats, 0 ... :func:`largest_entropy`.

    Raises:
        ValueError: ``background`` is no class, or no class or (renormalized) only one is left.
    """
    num_classes = logits.shape[1]
    largest_entropy(num_classes, background, renormalize)
    with torch.autocast(logits.device.type, enabled=False):
        # A few images at a time: what lies between logits and result takes less memory, and stays in a CPU's cache.
        entropy = torch.cat([_entropy_map(part.float(), background, renormalize)
                             for part in logits.split(IMAGES_AT_A_TIME)])
        if valid is None:
            return entropy.mean(dim=(1, 2))
        weight = valid.to(entropy.dtype)
        return (entropy * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2))


def largest_entropy(num_classes: int, background: int | None = None, renormalize: bool = False) -> float:
    """The largest possible :func:`mean_entropy`; divided by it, entropies of models with other classes compare.

    It is log n of the n classes that count. Where they need not sum to 1 and are fewer than 3 it is n / e: each term
    -P log P is largest at P = 1/e.

    Args:
        num_classes: K, with background.
        background: Class left out; ``None`` for none.
        renormalize: See :func:`mean_entropy`.

    Returns:
        Nats, above 0.

    Raises:
        ValueError: See :func:`mean_entropy`.
    """
    if background is not None and not 0 <= background < num_classes:
        raise ValueError(f'background is {background}; it must be a class of the model, 0..{num_classes - 1}, or None')
    counted = num_classes - (background is not None)
    sums_to_one = background is None or renormalize
    if counted < (2 if sums_to_one else 1):
        raise ValueError(f'of {num_classes} classes, background {background} left out, {counted} remain, whose entropy '
                         'is always 0; count the background (background=None) or do not renormalize')
    return math.log(counted) if sums_to_one or counted >= 3 else counted / math.e


def _entropy_map(logits: Tensor, background: int | None, renormalize: bool) -> Tensor:
    """(B, H, W) from fp32 logits (B, K, H, W)."""
    if renormalize and background is not None:
        # The softmax of the other classes alone is their renormalized probability, exact also where it is tiny.
        logits, background = _without(logits, background), None
    return _pixel_entropy(logits, background)


def _without(logits: Tensor, channel: int) -> Tensor:
    return torch.cat([logits[:, :channel], logits[:, channel + 1:]], dim=1)


def _pixel_entropy(logits: Tensor, background: int | None) -> Tensor:
    """(B, H, W) from fp32 logits (B, K, H, W)."""
    shifted = logits - logits.amax(dim=1, keepdim=True)
    powers = shifted.exp()
    total = powers.sum(dim=1)
    counted = total
    weighted = shifted.mul_(powers)
    if background is not None:
        counted = total - powers[:, background]
        weighted[:, background] = 0
    # Rounding may leave a certain pixel slightly below 0.
    return ((counted * total.log() - weighted.sum(dim=1)) / total).clamp_(min=0)

"""Sums over the pixels of all processes, for rules that learn from pseudo-labels.

Shapes: B images of H x W pixels, K classes.
"""
from typing import NamedTuple

import torch
from mmengine.dist import all_reduce
from torch import Tensor


class Moments(NamedTuple):
    """Number, mean and unbiased variance of values, in float64; mean and variance are 0 where they are not defined."""

    number: Tensor
    mean: Tensor
    variance: Tensor


def moments(values: Tensor, groups: Tensor, num_groups: int) -> Moments:
    """Moments of each group of values, over all processes.

    Args:
        values: (n, ).
        groups: The group of each value, (n, ), int64.
        num_groups: Number G of groups.

    Returns:
        Three tensors (G, ).
    """
    values = values.double()
    sums = torch.stack([_sums(weights, groups, num_groups) for weights in (torch.ones_like(values), values, values**2)])
    all_reduce(sums)
    number, first, second = sums
    mean = first / number.clamp(min=1)
    variance = (second - first * mean).clamp(min=0) / (number - 1).clamp(min=1)
    return Moments(number, mean, variance)


def class_counts(labels: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class, (K, ), float64, over all processes.

    Args:
        labels: Of any shape, int64; ids from K on are ignored.
        num_classes: K.
    """
    counts = torch.bincount(labels[labels < num_classes], minlength=num_classes).double()
    all_reduce(counts)
    return counts


def mean_scores(scores: Tensor, valid: Tensor) -> Tensor:
    """Mean of probabilities (B, K, H, W) over the valid pixels (B, H, W) of all processes, (K, ), float64."""
    sums = torch.einsum('bkhw,bhw->k', scores, valid.to(scores)).double()
    total = torch.cat([sums, valid.sum()[None].double()])
    all_reduce(total)
    return total[:-1] / total[-1].clamp(min=1)


def _sums(weights: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    return torch.zeros(num_groups, dtype=weights.dtype, device=weights.device).index_add_(0, groups, weights)

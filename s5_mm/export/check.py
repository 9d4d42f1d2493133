"""Compare what an exported file computes with what torch computes."""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

Run = Callable[[np.ndarray], np.ndarray]
"""Inputs (B, C, H, W) to probabilities (B, K, H, W)."""
LEAST = 4
"""Sides of images are at least so many times the divisor; below, maps of one cell are computed in another way."""


class Agreement(NamedTuple):
    """How two results agree.

    Attributes:
        largest_difference: Of two probabilities.
        same_classes: Share of pixels with the same most probable class.
    """

    largest_difference: float
    same_classes: float

    def __str__(self) -> str:
        """For messages."""
        return (f'probabilities differ by at most {self.largest_difference:.2g}, {self.same_classes:.4%} of the '
                'pixels have the same class')


def examples(channels: int, window: int, divisor: int) -> list[np.ndarray]:
    """Images to compare on: one of the training size, and two that are smaller and not square.

    Args:
        channels: C.
        window: Side of the training images in pixels.
        divisor: Sides are multiples of it.

    Returns:
        Arrays (B, C, H, W), uint8, of smooth patches with some noise.
    """
    rng, side = np.random.default_rng(0), -(-window // divisor)
    low = max(LEAST, side // 2)
    return [_drawn(rng, (number, channels, rows * divisor, columns * divisor))
            for number, rows, columns in ((1, max(LEAST, side), max(LEAST, side)), (2, low, low + 1))]


def _drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    coarse = torch.from_numpy(rng.uniform(0, 255, (*shape[:2], 5, 5)))
    smooth = torch.nn.functional.interpolate(coarse, shape[2:], mode='bilinear').numpy()
    return (smooth + rng.normal(0, 10, shape)).clip(0, 255).astype(np.uint8)


@torch.inference_mode()
def agreement(run: Run, graph: nn.Module, inputs: Sequence[np.ndarray]) -> Agreement:
    """Compare a function with the graph that it comes from.

    Args:
        run: The function.
        graph: On the CPU.
        inputs: Arrays (B, C, H, W), as the graph takes them.
    """
    differences, same, pixels = [], 0, 0
    for images in inputs:
        expected, found = graph(torch.from_numpy(images)).numpy(), run(images)
        if found.shape != expected.shape or not np.isfinite(found).all():
            return Agreement(1.0, 0.0)
        differences.append(np.abs(found - expected).max())
        hits = found.argmax(axis=1) == expected.argmax(axis=1)
        same, pixels = same + hits.sum(), pixels + hits.size
    return Agreement(float(max(differences)), float(same / pixels))

"""Pseudo-labels of unlabeled images."""
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class PseudoLabel(NamedTuple):
    """The pseudo-label of each pixel, from the weak view.

    Attributes:
        label: Most probable class, (N, H, W), int64.
        confidence: Its probability, (N, H, W), in [0, 1].
        valid: True where there is image, False where there is padding, (N, H, W).
        weight: How much the pixel counts, (N, H, W), in [0, 1]; ``None``: the loss decides by its threshold.
    """

    label: Tensor
    confidence: Tensor
    valid: Tensor
    weight: Tensor | None = None

    @classmethod
    def from_logits(cls, logits: Tensor, valid: Tensor) -> 'PseudoLabel':
        """Take the most probable class of every pixel.

        Args:
            logits: Of the weak view, (N, K, H, W), K at least 2.
            valid: As the attribute.
        """
        confidence, label = logits.float().softmax(dim=1).max(dim=1)
        return cls(label, confidence, valid)

    def map(self, function: Callable[..., Tensor], *others: 'PseudoLabel') -> 'PseudoLabel':
        """Apply a function to each map, and to the same maps of other pseudo-labels as its further arguments."""
        return PseudoLabel(*(None if maps[0] is None else function(*maps) for maps in zip(self, *others, strict=True)))

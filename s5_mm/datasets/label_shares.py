"""What a sample of label masks says about the classes, before training starts."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .transforms.loading import IGNORED

SUSPICIOUS_SHARE = 0.2
"""Share of ignored pixels above which another rule for the ids is probably right."""

class LabelShares(NamedTuple):
    """Shares of the pixels of a sample of label masks.

    Attributes:
        classes: Names of the classes, in the order of their ids.
        shares: Share of each class in the pixels that have one, from 0 to 1, (K, ); 0 if no pixel has one.
        ignored: Share of the pixels without a class, from 0 to 1.
    """

    classes: tuple[str, ...]
    shares: np.ndarray
    ignored: float

    @classmethod
    def of(cls, masks: Sequence[np.ndarray], classes: Sequence[str]) -> 'LabelShares':
        """Count the pixels.

        Args:
            masks: At least one mask of training ids, (H, W), uint8, 255 = ignored.
            classes: Names of the classes.
        """
        counts = sum(np.bincount(mask.ravel(), minlength=IGNORED + 1) for mask in masks)
        labeled = counts[:len(classes)]
        return cls(tuple(classes), labeled / max(1, labeled.sum()), float(counts[IGNORED] / counts.sum()))

    @property
    def absent(self) -> list[str]:
        """Classes that no pixel has."""
        return [name for name, share in zip(self.classes, self.shares, strict=True) if share == 0]

    def __str__(self) -> str:
        shares = ', '.join(f'{name} {share:.1%}' for name, share in zip(self.classes, self.shares, strict=True))
        return f'{shares}; {self.ignored:.1%} of all pixels ignored'

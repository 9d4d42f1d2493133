"""ClassMix: paste some classes of labeled images into unlabeled ones."""
import numpy as np
import torch
from torch import Tensor

from s5_mm.registry import MODELS


@MODELS.register_module()
class ClassMix:
    """Half of the ids of a label, drawn at random, are pasted with their pixels (DACS, arXiv 2007.08702).

    Background is an id like the others, and so is the ignored one: to paste all objects would show many more of them
    than the pool has. Draws come from NumPy's global generator.

    Args:
        prob: Share of the images into which something is pasted, in [0, 1].

    Raises:
        ValueError: ``prob`` is out of range.
    """

    def __init__(self, prob: float = 1.0) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'ClassMix: prob is {prob}, it must lie in [0, 1].')
        self.prob = prob

    def masks(self, labels: Tensor) -> Tensor:
        """Draw the pixels to paste.

        Args:
            labels: Of the labeled images, (N, H, W), int64.

        Returns:
            (N, H, W), bool; True where the labeled image is taken. Of an odd number of ids the larger half is.
        """
        masks = []
        for label in labels:
            ids = label.unique()
            chosen = np.random.choice(len(ids), (len(ids) + 1) // 2, replace=False)
            pasted = np.random.rand() < self.prob
            masks.append(torch.isin(label, ids[torch.from_numpy(chosen).to(ids.device)]) & pasted)
        return torch.stack(masks)

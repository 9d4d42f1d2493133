"""CutMix: paste a box of one image and of its pseudo-label into another."""
import math

import numpy as np
import torch
from torch import Tensor

from s5_mm.registry import MODELS

# At least every tenth draw fits into a square; only very long images use these up.
MAX_TRIES = 10000


@MODELS.register_module()
class CutMix:
    """Random boxes in which an image is replaced by its partner (arXiv 1905.04899, with the numbers of S5).

    Boxes come from NumPy's global generator and lie fully inside the image.

    Args:
        prob: Share of the images that are mixed, in [0, 1].
        area: Smallest and largest box area as a share of the image, in (0, 1).
        aspect: Smallest and largest height / width of the box.

    Raises:
        ValueError: A range is not in order or out of its bounds.
    """

    def __init__(self,
                 prob: float = 0.5,
                 area: tuple[float, float] = (0.02, 0.4),
                 aspect: tuple[float, float] = (0.3, 1 / 0.3)) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'CutMix: prob is {prob}, it must lie in [0, 1].')
        if not 0 < area[0] <= area[1] < 1:
            raise ValueError(f'CutMix: area is {area}, it must be (smallest, largest) within (0, 1).')
        if not 0 < aspect[0] <= 1 <= aspect[1]:
            raise ValueError(f'CutMix: aspect is {aspect}, it must be (smallest, largest) around 1.')
        self.prob = prob
        self.area = area
        self.aspect = aspect

    def boxes(self, num: int, height: int, width: int, device: torch.device | str = 'cpu') -> Tensor:
        """Draw one box for each image.

        Returns:
            (num, height, width), bool; True where the partner is taken.
        """
        mask = np.zeros((num, height, width), dtype=bool)
        for image in mask:
            if np.random.rand() < self.prob:
                top, left, h, w = self._box(height, width)
                image[top:top + h, left:left + w] = True
        return torch.from_numpy(mask).to(device)

    def _box(self, height: int, width: int) -> tuple[int, int, int, int]:
        area = np.random.uniform(*self.area) * height * width
        for _ in range(MAX_TRIES):
            aspect = np.random.uniform(*self.aspect)
            h, w = int(math.sqrt(area * aspect)), int(math.sqrt(area / aspect))
            top, left = np.random.randint(height), np.random.randint(width)
            if top + h <= height and left + w <= width:
                return top, left, h, w
        raise ValueError(f'CutMix: no box of area {self.area} and aspect {self.aspect} fits into {width}x{height} px; '
                         'widen aspect or crop closer to a square.')

    @staticmethod
    def mix(x: Tensor, partner: Tensor, box: Tensor) -> Tensor:
        """Take the partner inside the box.

        Args:
            x: Images (N, C, H, W) or maps (N, H, W).
            partner: Of the same shape.
            box: (N, H, W), bool.
        """
        return torch.where(box[:, None] if x.dim() == 4 else box, partner, x)

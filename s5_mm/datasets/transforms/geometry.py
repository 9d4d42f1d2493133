"""Geometric augmentation of the published code that mmcv and mmseg do not have."""
import numpy as np
from mmcv.transforms import RandomResize
from mmcv.transforms.utils import cache_randomness

from s5_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomRescale(RandomResize):
    """Resize an image by a random factor: the first half of the weak view of S4P.

    The new long side is drawn uniformly from the integers between ``ratio_range[0]`` and ``ratio_range[1]`` times the
    old one. The short side keeps the aspect ratio, rounded to the nearest pixel. Images are interpolated bilinearly,
    masks by the nearest neighbor.

    Required keys: ``img``; modified: ``img``, ``img_shape``, every mask of ``seg_fields``; added: ``scale``,
    ``scale_factor``, ``keep_ratio``.

    Args:
        ratio_range (tuple[float, float]): Smallest and largest factor, both above 0.

    Raises:
        ValueError: The range is empty or not positive.
    """

    def __init__(self, ratio_range: tuple[float, float] = (0.5, 2.0)) -> None:
        if len(ratio_range) != 2 or not 0 < ratio_range[0] <= ratio_range[1]:
            raise ValueError(f'`ratio_range` is {ratio_range}; it must be two factors with 0 < smallest <= largest')
        super().__init__(scale=(1, 1), ratio_range=tuple(ratio_range), resize_type='mmseg.Resize', keep_ratio=False)

    def transform(self, results: dict) -> dict:
        """Draw a size and resize image and masks to it."""
        self.resize.scale = results['scale'] = self._random_size(results['img'].shape[:2])
        return self.resize(results)

    @cache_randomness
    def _random_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """New (width, height) of an image of ``size`` = (height, width)."""
        height, width = size
        old = max(height, width)
        low, high = (max(1, int(old * ratio)) for ratio in self.ratio_range)
        new = np.random.randint(low, high + 1)
        return tuple(max(1, int(side * new / old + 0.5)) for side in (width, height))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(ratio_range={self.ratio_range})'

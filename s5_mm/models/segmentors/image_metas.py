"""Metainfo of images that come from no loader."""
from torch import Tensor


def image_metas(images: Tensor) -> list[dict]:
    """What mmseg's heads read the size of their output from, for images (B, 3, H, W)."""
    size = tuple(images.shape[-2:])
    return [dict(img_shape=size, pad_shape=size, ori_shape=size)] * len(images)

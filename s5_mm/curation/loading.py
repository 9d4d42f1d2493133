"""Images of a pool on their way to the model: decoded by loader workers, grouped by size, failures as values."""
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from s5_mm.datasets import ImageReadError, UnlabeledDataset


class Image(NamedTuple):
    """One decoded image.

    Attributes:
        index: Index into the pool.
        pixels: (3, H, W), uint8, blue, green, red, resized.
        size: (height, width) in pixels, as in the file.
        data: (H, W), bool, which pixels have data; ``None``: all.
    """

    index: int
    pixels: Tensor
    size: tuple[int, int]
    data: np.ndarray | None


class Failure(NamedTuple):
    """An image that could not be scored.

    Attributes:
        index: Index into the pool.
        reason: Reason of the failure.
    """

    index: int
    reason: str


class Group(NamedTuple):
    """Images of one size, all of them with pixels without data or none.

    Only the pixels are a tensor: each tensor that a worker sends costs a connection of its own.

    Attributes:
        indices: (B,), int64, indices into the pool.
        pixels: (B, 3, H, W), uint8.
        sizes: (B, 2), int64, (height, width) of the files.
        data: (B, H, W), bool, which pixels have data; ``None``: all.
    """

    indices: np.ndarray
    pixels: Tensor
    sizes: np.ndarray
    data: np.ndarray | None


class Batch(NamedTuple):
    """What the loader gives for one list of indices."""

    groups: list[Group]
    failures: list[Failure]


class _Images(Dataset):
    """The pool's images; an index gives an :class:`Image` or a :class:`Failure`."""

    def __init__(self, pool: UnlabeledDataset, max_side: int) -> None:
        self.pool = pool
        self.max_side = max_side

    def __getitem__(self, index: int) -> Image | Failure:
        try:
            sample = self.pool[index]
        except ImageReadError as error:
            return Failure(index, error.reason)
        height, width = sample['img'].shape[:2]
        if max(height, width) > self.max_side:
            return Failure(index, f'it is {width} x {height} pixels, more than max_side={self.max_side}; cut it into '
                           'patches (curate.py crop), or set a size that the model takes images at')
        data = sample['gt_seg_map'] == 0
        if not data.any():
            return Failure(index, 'no pixel of it has data')
        return Image(index, torch.from_numpy(sample['img'].transpose(2, 0, 1).copy()), tuple(sample['ori_shape']),
                     None if data.all() else data)

    def __len__(self) -> int:
        return len(self.pool)


def _collate(items: list[Image | Failure]) -> Batch:
    """Stack the images of each size. No image is padded to the size of another, so none depends on its neighbors."""
    alike: dict[tuple[torch.Size, bool], list[Image]] = {}
    for item in items:
        if isinstance(item, Image):
            alike.setdefault((item.pixels.shape, item.data is None), []).append(item)
    groups = [Group(np.array([image.index for image in images]), torch.stack([image.pixels for image in images]),
                    np.array([image.size for image in images]),
                    None if full else np.stack([image.data for image in images]))
              for (_, full), images in alike.items()]
    return Batch(groups, [item for item in items if isinstance(item, Failure)])


def build_pool(cfg: dict, size: int | None = None) -> UnlabeledDataset:
    """The pool as scoring reads it: whole images, in order, errors raised.

    Args:
        cfg: Of :class:`s5_mm.UnlabeledDataset`: ``source``, ``data_root``, ``indices``; ``pipeline`` may hold another
            loading step than ``s5_mm.LoadImage``, e.g. one for GeoTIFF.
        size: Long side in pixels that images are resized to; ``None``: as they are.

    Raises:
        ValueError: ``size`` below 32.
    """
    if size is not None and size < 32:
        raise ValueError(f'size is {size}; images are resized to at least 32 px, or None leaves them as they are')
    cfg = {name: value for name, value in cfg.items() if name != 'type'}
    pipeline = [*(cfg.pop('pipeline', None) or [dict(type='s5_mm.LoadImage')]), dict(type='s5_mm.UnlabeledMask')]
    if size is not None:
        pipeline.append(dict(type='mmcv.Resize', scale=(size, size), keep_ratio=True))
    return UnlabeledDataset(**cfg, pipeline=pipeline, test_mode=True)


def build_loader(pool: UnlabeledDataset, batches: Sequence[Sequence[int]], workers: int = 0, max_side: int = 2048,
                 pin_memory: bool = False) -> Iterable[Batch]:
    """Decode lists of images, in order.

    Args:
        pool: The pool, see :func:`build_pool`.
        batches: Indices into the pool, a list for each batch.
        workers: Decoding processes; 0: this process decodes.
        max_side: Larger images, in pixels after the resize, become failures, so that they cannot fill the memory.
        pin_memory: Whether batches are copied to page-locked memory, for a GPU.
    """
    return DataLoader(_Images(pool, max_side), batch_sampler=batches, num_workers=workers, collate_fn=_collate,
                      pin_memory=pin_memory, prefetch_factor=4 if workers else None)

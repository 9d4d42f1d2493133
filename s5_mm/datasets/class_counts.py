"""How many pixels of each class the images of a dataset show: for sampling of rare classes and shares of classes."""
import os.path as osp
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.utils import track_iter_progress

from s5_mm.files import replacing

from .segmentation import SegDataset
from .transforms.loading import read_label_ids, train_ids


class ClassCounts(NamedTuple):
    """Pixels of each class in each image.

    Attributes:
        names: Paths of n images below the dataset's image folder.
        pixels: (n, K), int64; ignored pixels are not counted.
    """

    names: Sequence[str]
    pixels: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Share of each class in all labeled pixels, (K, )."""
        return self.pixels.sum(axis=0) / max(1, self.pixels.sum())

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file."""
        with replacing(path) as temporary, open(temporary, 'wb') as file:
            np.savez_compressed(file, names=np.array(self.names, dtype=str), pixels=self.pixels)

    @classmethod
    def load(cls, path: str | Path) -> 'ClassCounts':
        """Read a file of :meth:`save`.

        Raises:
            FileNotFoundError: There is none.
            ValueError: It is no such file.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f'{path} does not exist; write it with tools/analysis/class_counts.py CONFIG FILE')
        try:
            arrays = np.load(path, allow_pickle=False)
            names, pixels = arrays['names'].tolist(), arrays['pixels']
        except Exception as error:  # NumPy and zipfile raise a dozen types on damaged files
            raise ValueError(f'{path} is no file of class counts ({error}); write it with '
                             'tools/analysis/class_counts.py') from error
        if pixels.ndim != 2 or len(names) != len(pixels) or pixels.dtype.kind != 'i' or pixels.min(initial=0) < 0:
            raise ValueError(f'{path} holds {len(names)} names and counts of shape {pixels.shape}; write it with '
                             'tools/analysis/class_counts.py')
        return cls(names, pixels)

    def of(self, dataset: SegDataset) -> np.ndarray:
        """The counts of a dataset's images, in its order, (len(dataset), K).

        Raises:
            ValueError: An image was not counted.
        """
        rows = {name: row for row, name in enumerate(self.names)}
        names = image_names(dataset)
        missing = [name for name in names if name not in rows]
        if missing:
            raise ValueError(f'{len(missing)} of {len(names)} images have no class counts, e.g. {missing[0]}; count '
                             'them with tools/analysis/class_counts.py')
        return self.pixels[[rows[name] for name in names]]


def image_names(dataset: SegDataset) -> list[str]:
    """Paths of a dataset's images below its image folder."""
    folder = dataset.data_prefix['img_path']
    return [osp.relpath(dataset.get_data_info(i)['img_path'], folder) for i in range(len(dataset))]


def count_pixels(dataset: SegDataset) -> ClassCounts:
    """Read every mask of a dataset and count.

    Args:
        dataset: With masks.

    Raises:
        OSError: A mask cannot be read.
        ValueError: A mask has an id that is not allowed.
    """
    num_classes = len(dataset.metainfo['classes'])
    pixels = np.zeros((len(dataset), num_classes), dtype=np.int64)
    for i in track_iter_progress(range(len(dataset))):
        info = dataset.get_data_info(i)
        ids = train_ids(info['seg_map_path'], read_label_ids(info['seg_map_path']), info)
        pixels[i] = np.bincount(ids.ravel(), minlength=256)[:num_classes]
    return ClassCounts(image_names(dataset), pixels)

"""Rotated detection in images of any size: split the image, predict each patch, merge the detections."""
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from PIL import Image
from torch import nn
from tqdm import tqdm

from s5_mm.checkpoints import load_weights
from s5_mm.evaluation import as_polygons, merge
from s5_mm.radiometry import Stretch
from s5_mm.rasters import open_raster
from s5_mm.registry import DATASETS, MODELS
from s5_mm.tiling import Window, windows


@dataclass(frozen=True)
class TilingConfig:
    """How a large image is split into patches and how their detections are merged.

    Attributes:
        size: Side of a patch as the model sees it, in px.
        overlap: Overlap of neighboring patches, in px of the patch. Objects should not be longer.
        scales: Factors on the image's width and height. The detections of all scales are merged.
        merge_iou_thr: A detection is dropped if its IoU with one of its class and a higher score is above this.
        score_thr: Detections with a lower score are dropped.
        batch_size: Number of patches in a forward pass.
        pad: Red, green and blue of the padding of patches at the edge of a small image, as in ``data_prep/dota.py``.
    """

    size: int = 1024
    overlap: int = 200
    scales: tuple[float, ...] = (1.0, )
    merge_iou_thr: float = 0.1
    score_thr: float = 0.0
    batch_size: int = 4
    pad: tuple[int, int, int] = (124, 116, 104)

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: A number is out of range.
        """
        if not 0 <= self.overlap < self.size:
            raise ValueError(f'overlap is {self.overlap} and size is {self.size}; 0 <= overlap < size is needed.')
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f'scales are {self.scales}; give one or more above 0.')
        if self.batch_size < 1:
            raise ValueError(f'batch_size is {self.batch_size}; it must be at least 1.')


class Detections(NamedTuple):
    """Detections in an image, sorted by class, then by descending score.

    Attributes:
        polygons: (N, 8), float64, corners x1 y1 ... x4 y4 in px of the image.
        scores: (N, ), in [0, 1].
        labels: (N, ), indices of classes.
    """

    polygons: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


class ScaledWindow(NamedTuple):
    """A part of an image, and the scale at which the model sees it.

    Attributes:
        window: The part, in px of the image.
        scale: Pixels of the patch for each pixel of the image, along a side.
    """

    window: Window
    scale: float


class Readable(Protocol):
    """An image whose windows can be read, such as a :class:`s5_mm.rasters.Raster`."""

    size: tuple[int, int]

    def read(self, top: int, left: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (height, width, 3), uint8, red, green, blue; and (height, width), bool, which pixels have data."""


class ArrayImage:
    """An image in memory.

    Args:
        array: (H, W, 3), uint8, blue, green, red, as OpenCV reads it.

    Raises:
        ValueError: The array has another shape or type.
    """

    def __init__(self, array: np.ndarray) -> None:
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
            raise ValueError(f'the image has the shape {array.shape} and the type {array.dtype}; it must be (H, W, 3), '
                             'uint8. A path reads other kinds of images.')
        self._array = array
        self.size = array.shape[:2]

    def read(self, top: int, left: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, see :class:`Readable`."""
        part = self._array[top:top + height, left:left + width, ::-1]
        return part, np.ones(part.shape[:2], bool)


def load_detector(cfg: Config, checkpoint: str, device: str | None = None) -> nn.Module:
    """Build a config's detector and load a checkpoint, as weights only.

    Args:
        cfg: With ``model``.
        checkpoint: A training checkpoint or a ``.safetensors`` file.
        device: Default the GPU, if there is one.

    Returns:
        The model in eval mode.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It is damaged, holds code or does not fit.
    """
    init_default_scope(cfg.get('default_scope', 'mmrotate'))
    model = MODELS.build(cfg.model)
    load_weights(model, checkpoint)
    return model.to(device or get_device()).eval()


def dataset_meta(cfg: Config, dataset: str | None = None) -> dict:
    """Classes and palette of a dataset that a config tests.

    Args:
        cfg: Config with ``test_dataloader``.
        dataset: Name of the dataset; needed if the config has several.

    Returns:
        The metainfo of the dataset, with ``classes``. No file of the dataset is read.

    Raises:
        ValueError: The config has no such dataset, or has several and none is named.
    """
    loaders = cfg.test_dataloader
    if 'dataset' not in loaders:
        if dataset not in loaders:
            raise ValueError(f'the dataset is {dataset!r}; the config has several, choose one of '
                             f'{", ".join(loaders)}.')
        loaders = loaders[dataset]
    init_default_scope(cfg.get('default_scope', 'mmrotate'))
    return dict(DATASETS.build(dict(loaders.dataset, lazy_init=True, pipeline=[])).metainfo)


def detect(model: nn.Module,
           image: str | Path | np.ndarray,
           dataset: str | None = None,
           settings: TilingConfig | None = None,
           bands: Sequence[int] | None = None,
           stretch: Stretch | None = None,
           progress: bool = False) -> Detections:
    """Find objects in an image of any size.

    The image is split into overlapping patches like those of ``data_prep/dota.py``, the model predicts each patch, and
    the detections are merged like those of :class:`s5_mm.DOTAMetric`. A file is read window by window, so it may be
    larger than memory.

    Args:
        model: A detector in eval mode, see :func:`load_detector`.
        image: JPEG, PNG, (Geo)TIFF or BMP of any number of bands and bits; or (H, W, 3), uint8, blue, green, red.
        dataset: Dataset whose classes are detected; needed for a model of several datasets.
        settings: How to split and merge.
        bands: Numbers of a file's bands of red, green and blue, from 1; default: as named in the file.
        stretch: How a file's values of more than 8 bits become 0 ... 255.
        progress: Whether to show a progress bar.

    Returns:
        The detections in px of the image.

    Raises:
        RasterError: The file cannot be read.
        ValueError: The model does not know the dataset, or an array has another shape.
    """
    settings = settings or TilingConfig()
    dataset = _known_dataset(model, dataset)
    parts = []
    with _opened(image, bands, stretch, settings) as source:
        patches = list(split(source.size, settings))
        bar = tqdm(total=len(patches), unit='patch', disable=not progress)
        for chosen in _batches(patches, settings.batch_size):
            images = [_read(source, patch, settings) for patch in chosen]
            parts += zip(chosen, _predict(model, images, dataset), strict=True)
            bar.update(len(chosen))
        bar.close()
    return Detections(*merge([_in_image(*part, settings) for part in parts], settings.merge_iou_thr))


def split(size: tuple[int, int], settings: TilingConfig) -> Iterator[ScaledWindow]:
    """Patches of an image, the last of each line and column moved inside.

    Args:
        size: Height and width of the image.
        settings: Size, overlap and scales.

    Yields:
        The patches, scale by scale, line by line.
    """
    for scale in settings.scales:
        side, stride = round(settings.size / scale), max(1, round((settings.size - settings.overlap) / scale))
        yield from (ScaledWindow(window, scale) for window in windows(size, side, stride))


def _known_dataset(model: nn.Module, dataset: str | None) -> str | None:
    known = tuple(getattr(model, 'datasets', ()))
    if dataset is None and len(known) == 1:
        return known[0]
    if known and dataset not in known:
        raise ValueError(f'the dataset is {dataset!r}; the model knows {", ".join(known)}, choose one of them.')
    return dataset


def _opened(image: str | Path | np.ndarray, bands: Sequence[int] | None, stretch: Stretch | None,
            settings: TilingConfig) -> AbstractContextManager[Readable]:
    if isinstance(image, np.ndarray):
        return nullcontext(ArrayImage(image))
    return open_raster(Path(image), bands, stretch, window=round(settings.size / min(settings.scales)))


def _batches(patches: list[ScaledWindow], size: int) -> Iterator[list[ScaledWindow]]:
    rest = iter(patches)
    while chosen := list(islice(rest, size)):
        yield chosen


def _read(source: Readable, patch: ScaledWindow, settings: TilingConfig) -> np.ndarray:
    """Pixels of a patch, (size, size, 3), blue, green, red as the models' pipelines load images."""
    pixels, _ = source.read(*patch.window)
    if patch.scale != 1:
        whole = Image.fromarray(np.ascontiguousarray(pixels))
        pixels = np.asarray(whole.resize(_resized(patch, settings), Image.Resampling.BILINEAR))
    image = np.empty((settings.size, settings.size, 3), np.uint8)
    image[:] = settings.pad
    image[:pixels.shape[0], :pixels.shape[1]] = pixels
    return image[..., ::-1]


def _resized(patch: ScaledWindow, settings: TilingConfig) -> tuple[int, int]:
    """Width and height of a window, in px of the patch."""
    sides = patch.window.width, patch.window.height
    width, height = (min(settings.size, max(1, round(side * patch.scale))) for side in sides)
    return width, height


@torch.no_grad()
def _predict(model: nn.Module, images: Sequence[np.ndarray],
             dataset: str | None) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Corners in px of the patch, scores and labels of each patch."""
    samples = []
    for image in images:
        shape = image.shape[:2]
        sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0)))
        if dataset is not None:
            sample.set_metainfo(dict(dataset_name=dataset))
        samples.append(sample)
    inputs = [torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))) for image in images]
    found = [sample.pred_instances.cpu() for sample in model.test_step(dict(inputs=inputs, data_samples=samples))]
    return [(as_polygons(one.bboxes), one.scores.double().numpy(), one.labels.numpy()) for one in found]


def _in_image(patch: ScaledWindow, found: tuple[np.ndarray, np.ndarray, np.ndarray],
              settings: TilingConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners in px of the image, scores and labels of the detections above the threshold."""
    polygons, scores, labels = found
    kept = scores >= settings.score_thr
    width, height = _resized(patch, settings)
    window = patch.window
    factors, corner = [window.width / width, window.height / height], [window.left, window.top]
    return polygons[kept] * np.tile(factors, 4) + np.tile(corner, 4), scores[kept], labels[kept]

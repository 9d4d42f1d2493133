"""Rotated detection in images of any size: split the image, predict each patch, merge the detections."""
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from affine import Affine
from mmdet.structures import DetDataSample
from PIL import Image
from rasterio.crs import CRS
from tqdm import tqdm

from s5_mm.evaluation import as_polygons, merge
from s5_mm.radiometry import Radiometry
from s5_mm.rasters import open_raster
from s5_mm.tiling import Window, windows

from .engine import as_inputs
from .model import SceneModel
from .reading import model_order
from .sink import Parts


@dataclass(frozen=True)
class TilingConfig:
    """How a large image is split into patches and how their detections are merged.

    Attributes:
        size: Side of a patch as the model sees it, in px; ``None``: that of the model's training images.
        overlap: Overlap of neighboring patches, in px of the patch; ``None``: as 200 of 1024. Objects should not be
            longer.
        scales: Factors on the image's width and height. The detections of all scales are merged.
        merge_iou_thr: A detection is dropped if its IoU with one of its class and a higher score is above this.
        score_thr: Detections with a lower score are dropped.
        batch_size: Number of patches in a forward pass.
        pad: Red, green and blue of the padding of patches at the edge of a small image, as in ``data_prep/dota.py``.
            Images of another number of bands are padded with 0.
        black: Whether pixels that are 0 in all bands have data; ``None``: see :func:`s5_mm.rasters.open_raster`.
            Patches without data are skipped.
    """

    size: int | None = None
    overlap: int | None = None
    scales: tuple[float, ...] = (1.0, )
    merge_iou_thr: float = 0.1
    score_thr: float = 0.0
    batch_size: int = 4
    pad: tuple[int, int, int] = (124, 116, 104)
    black: bool | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: A number is out of range.
        """
        if None not in (self.size, self.overlap) and not 0 <= self.overlap < self.size:
            raise ValueError(f'overlap is {self.overlap} and size is {self.size}; 0 <= overlap < size is needed.')
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f'scales are {self.scales}; give one or more above 0.')
        if self.batch_size < 1:
            raise ValueError(f'batch_size is {self.batch_size}; it must be at least 1.')

    def completed(self, model: SceneModel) -> 'TilingConfig':
        """With the numbers that the model decides.

        Args:
            model: The model.
        """
        size = self.size or model.window
        return replace(self, size=size, overlap=size * 200 // 1024 if self.overlap is None else self.overlap)


class Detections(NamedTuple):
    """Detections in an image, sorted by class, then by descending score.

    Attributes:
        polygons: (N, 8), float64, corners x1 y1 ... x4 y4 in px of the image.
        scores: (N, ), in [0, 1].
        labels: (N, ), indices of classes.
        crs: Coordinate reference system of the image, if any.
        transform: From (column, row) in px to its coordinates.
    """

    polygons: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    crs: CRS | None = None
    transform: Affine = Affine.identity()


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
    crs: CRS | None
    transform: Affine

    def read(self, top: int, left: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (height, width, C), uint8, red, green, blue; and (height, width), bool, which pixels have data."""


class ArrayImage:
    """An image in memory.

    Args:
        array: (H, W, 3), uint8, blue, green, red, as OpenCV reads it.

    Raises:
        ValueError: The array has another shape or type.
    """

    crs, transform = None, Affine.identity()

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


def detect(model: SceneModel,
           image: str | Path | np.ndarray,
           settings: TilingConfig | None = None,
           radiometry: Radiometry | None = None,
           progress: bool = False,
           parts: Parts | None = None) -> Detections:
    """Find objects in an image of any size.

    The image is split into overlapping patches like those of ``data_prep/dota.py``, the model predicts each patch, and
    the detections are merged like those of :class:`s5_mm.DOTAMetric`. A file is read window by window, so it may be
    larger than memory.

    Args:
        model: A detector, see :func:`s5_mm.scenes.load_model`.
        image: JPEG, PNG, (Geo)TIFF, BMP or VRT of any number of bands and bits; an address or a path of GDAL's; or
            (H, W, 3), uint8, blue, green, red.
        settings: How to split and merge.
        radiometry: How to read a file; default as the model's training images.
        progress: Whether to show a progress bar.
        parts: Where detections are kept line by line of patches; lines that are there are not predicted again.

    Returns:
        The detections in px of the image.

    Raises:
        RasterError: The file cannot be read.
        ValueError: An array has another shape, or a setting is out of range.
    """
    settings = (settings or TilingConfig()).completed(model)
    found = []
    with _opened(image, radiometry or model.radiometry, settings) as source:
        patches = list(split(source.size, settings))
        with tqdm(total=len(patches), unit='patch', disable=None if progress else True) as bar:
            for index, (_, line) in enumerate(groupby(patches, key=lambda patch: (patch.scale, patch.window.top))):
                line = list(line)
                found.append(_kept_line(model, source, line, settings, parts, index))
                bar.update(len(line))
        return Detections(*merge(found, settings.merge_iou_thr), source.crs, source.transform)


def _kept_line(model: SceneModel, source: Readable, patches: Sequence[ScaledWindow], settings: TilingConfig,
               parts: Parts | None, index: int) -> tuple[np.ndarray, ...]:
    """As :func:`_detect_line`, from ``parts`` if they have the line, which is kept there otherwise."""
    names = ('polygons', 'scores', 'labels')
    if parts is not None and parts.has((index, ), names):
        return tuple(parts.read((index, ), name) for name in names)
    arrays = _detect_line(model, source, patches, settings)
    if parts is not None:
        parts.write((index, ), dict(zip(names, arrays, strict=True)))
    return arrays


def _detect_line(model: SceneModel, source: Readable, patches: Sequence[ScaledWindow],
                 settings: TilingConfig) -> tuple[np.ndarray, ...]:
    """Corners in px of the image, scores and labels in some patches, not merged."""
    read = ((patch, *source.read(*patch.window)) for patch in patches)
    full = ((patch, _prepared(pixels, patch, settings)) for patch, pixels, data in read if data.any())
    parts = [(np.zeros((0, 8)), np.zeros(0), np.zeros(0, np.int64))]
    while batch := list(islice(full, settings.batch_size)):
        predicted = _predict(model, np.stack([image for _, image in batch]))
        parts += [_in_image(patch, one, settings) for (patch, _), one in zip(batch, predicted, strict=True)]
    return tuple(np.concatenate(values) for values in zip(*parts, strict=True))


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


def _opened(image: str | Path | np.ndarray, radiometry: Radiometry,
            settings: TilingConfig) -> AbstractContextManager[Readable]:
    if isinstance(image, np.ndarray):
        return nullcontext(ArrayImage(image))
    return open_raster(image, radiometry.bands, radiometry.stretch, round(settings.size / min(settings.scales)),
                       settings.black)


def _prepared(pixels: np.ndarray, patch: ScaledWindow, settings: TilingConfig) -> np.ndarray:
    """A patch (C, size, size) of pixels (h, w, C), three bands as blue, green, red as pipelines load images."""
    if patch.scale != 1:
        size = _resized(patch, settings)
        bands = [Image.fromarray(np.ascontiguousarray(band)).resize(size, Image.Resampling.BILINEAR)
                 for band in np.moveaxis(pixels, -1, 0)]
        pixels = np.stack([np.asarray(band) for band in bands], axis=-1)
    height, width, channels = pixels.shape
    image = np.zeros((settings.size, settings.size, channels), np.uint8)
    if channels == 3:
        image[:] = settings.pad
    image[:height, :width] = pixels
    return model_order(image)


def _resized(patch: ScaledWindow, settings: TilingConfig) -> tuple[int, int]:
    """Width and height of a window, in px of the patch."""
    sides = patch.window.width, patch.window.height
    width, height = (min(settings.size, max(1, round(side * patch.scale))) for side in sides)
    return width, height


@torch.no_grad()
def _predict(model: SceneModel, images: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Corners in px of the patch, scores and labels of each patch (B, C, size, size)."""
    shape = images.shape[-2:]
    meta = dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))
    if model.dataset is not None:
        meta['dataset_name'] = model.dataset
    samples = [DetDataSample(metainfo=meta) for _ in images]
    predicted = model.network.test_step(dict(inputs=as_inputs(images), data_samples=samples))
    found = [sample.pred_instances.cpu() for sample in predicted]
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

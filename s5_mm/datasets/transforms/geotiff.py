"""GeoTIFF imagery of 8 and more bits and any number of bands."""
import warnings
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from s5_mm.registry import TRANSFORMS

from .loading import ImageReadError


def read_bands(path: str, bands: Sequence[int] | None = None,
               backend_args: dict | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Decode bands of a GeoTIFF exactly as stored.

    The bytes are read first and only GDAL's GeoTIFF driver may look at them, so neither a path nor a file's content can
    make GDAL open something else.

    Args:
        path (str): The file.
        bands (Sequence[int], optional): Numbers of the bands, from 1, in the wanted order. None: all.
        backend_args (dict, optional): File backend of MMEngine.

    Returns:
        tuple[np.ndarray, np.ndarray]: The bands (H, W, C) in the file's data type, and (H, W) bool, where they hold
        data (neither the file's no-data value nor masked).

    Raises:
        ImageReadError: The file is missing, damaged, no GeoTIFF, or lacks a band.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
        with warnings.catch_warnings(), MemoryFile(content) as memory:
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with memory.open(driver='GTiff') as source:
                chosen = list(bands or source.indexes)
                if max(chosen) > source.count:
                    raise ImageReadError(path, f'band {max(chosen)} is asked for, the file has {source.count}; choose '
                                         '`bands` among 1..' + str(source.count))
                return np.moveaxis(source.read(chosen), 0, -1), source.dataset_mask() > 0
    except (ImageReadError, MemoryError):
        raise
    except Exception as error:
        # rasterio raises its own types, the backends of MMEngine and NumPy theirs.
        raise ImageReadError(path, f'{type(error).__name__}: {error}') from error


@TRANSFORMS.register_module()
class LoadGeoTIFF(BaseTransform):
    """Load chosen bands of a GeoTIFF as an 8-bit image, stretching deeper ones.

    Three bands come out as blue, green, red like those of :class:`LoadImage`, so data preprocessors keep
    ``bgr_to_rgb=True``; another number stays in the order of ``bands``. Values are stretched linearly to 0-255, rounded
    and clipped. Pixels without data become 0.

    Required keys: ``img_path``. Added keys: ``img`` (H, W, C) uint8, ``img_shape`` and ``ori_shape`` (H, W).

    Args:
        bands (Sequence[int]): Numbers of the bands, from 1, those of red, green and blue in this order.
        value_range (Sequence, optional): The values that become 0 and 255: (low, high), or such a pair for each of
            ``bands``. The same stretch for all images, as suits a calibrated sensor.
        percentiles (tuple[float, float], optional): Take low and high from each image instead, band by band, at these
            percentiles of its pixels with data, e.g. (2, 98).
        backend_args (dict, optional): File backend of MMEngine.

    Raises:
        ValueError: Impossible options.
        ImageReadError: See :func:`read_bands`; and values of more than 8 bits without ``value_range`` or
            ``percentiles``.
    """

    def __init__(self,
                 bands: Sequence[int] = (1, 2, 3),
                 value_range: Sequence | None = None,
                 percentiles: tuple[float, float] | None = None,
                 backend_args: dict | None = None) -> None:
        self.bands = tuple(bands)
        self.value_range = value_range
        self.percentiles = percentiles
        self.backend_args = backend_args
        if not self.bands or min(self.bands) < 1:
            raise ValueError(f'`bands` is {self.bands}; bands count from 1, and at least one is needed')
        if value_range is not None and percentiles is not None:
            raise ValueError('`value_range` and `percentiles` are both given; choose one')
        if percentiles is not None and not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ValueError(f'`percentiles` is {percentiles}; it must be (low, high) with 0 <= low < high <= 100')
        self._fixed = None if value_range is None else self._ranges(value_range)

    def _ranges(self, value_range: Sequence) -> np.ndarray:
        """(C, 2) float64, low and high of each band."""
        ranges = np.asarray(value_range, float)
        if ranges.shape == (2, ):
            ranges = np.tile(ranges, (len(self.bands), 1))
        if ranges.shape != (len(self.bands), 2) or (ranges[:, 0] >= ranges[:, 1]).any():
            raise ValueError(f'`value_range` is {value_range}; it must be (low, high) with low < high, or such a pair '
                             f'for each of the {len(self.bands)} `bands`')
        return ranges

    def transform(self, results: dict) -> dict:
        """Add image and sizes, see the class."""
        values, valid = read_bands(results['img_path'], self.bands, self.backend_args)
        img = self._to_eight_bits(results['img_path'], values, valid)
        img = img[..., ::-1] if len(self.bands) == 3 else img
        results['img'] = np.ascontiguousarray(img)
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def _to_eight_bits(self, path: str, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        if self.percentiles is not None:
            ranges = self._percentile_ranges(values, valid)
        elif self._fixed is not None:
            ranges = self._fixed
        elif values.dtype == np.uint8:
            return values * valid[..., None]
        else:
            raise ImageReadError(path, f'it has {values.dtype} values; give `value_range` or `percentiles`, which say '
                                 'what becomes 0 and 255')
        low, high = ranges[:, 0].astype(np.float32), ranges[:, 1].astype(np.float32)
        scaled = np.nan_to_num((values.astype(np.float32) - low) * (255 / (high - low)), nan=0.0)
        return np.rint(scaled.clip(0, 255)).astype(np.uint8) * valid[..., None]

    def _percentile_ranges(self, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """(C, 2) of this image; a band without contrast gets a range one wide."""
        known = values[valid & np.isfinite(values).all(-1)]
        if not len(known):
            return np.tile((0.0, 1.0), (values.shape[-1], 1))
        ranges = np.percentile(known, self.percentiles, axis=0).T
        ranges[:, 1] = np.maximum(ranges[:, 1], ranges[:, 0] + 1e-6 * np.maximum(1.0, np.abs(ranges[:, 0])))
        return ranges

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(bands={self.bands}, value_range={self.value_range}, percentiles='
                f'{self.percentiles}, backend_args={self.backend_args})')

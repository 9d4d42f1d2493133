"""Loading of GeoTIFF with 8 or more bits and any number of bands."""
import warnings
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader, MemoryFile
from rasterio.windows import Window

from s5_mm.images import ImageReadError, require_sides
from s5_mm.radiometry import Radiometry, Stretch, has_data, to_eight_bits
from s5_mm.rasters import RasterError, find_ranges, marked_pixels, require_size
from s5_mm.registry import TRANSFORMS

from .loading import keep_data_mask


@TRANSFORMS.register_module()
class LoadGeoTIFF(BaseTransform):
    """Load bands of a GeoTIFF as an 8-bit image; values of more than 8 bits are stretched.

    Three bands are returned as blue, green, red like those of :class:`LoadImage`, so data preprocessors keep
    ``bgr_to_rgb=True``. Another number of bands keeps the order of ``bands``. Values are stretched linearly to 0-255,
    rounded and clipped, see :mod:`s5_mm.radiometry`. Pixels without data, which the file marks as such (no-data value,
    mask, transparency) or whose values are not finite, become 0.

    Required keys: ``img_path``. Added keys: ``img`` (H, W, C) uint8, ``img_shape`` and ``ori_shape`` (H, W); if there
    are pixels without data, ``has_data`` (H, W) bool, by which :class:`LoadLabels` and :class:`UnlabeledMask` ignore
    them.

    Args:
        bands (Sequence[int]): Numbers of the bands, from 1, in the order red, green, blue.
        value_range (Sequence, optional): The values that become 0 and 255: (low, high), or such a pair for each of
            ``bands``. All images get the same stretch, which suits a calibrated sensor.
        percentiles (tuple[float, float], optional): Percentiles of each band of each image that become 0 and 255, e.g.
            (2, 98). They are taken of pixels with data that are not 0 in all bands (black collars), at most 1024 a
            side.
        backend_args (dict, optional): File backend of MMEngine.

    Raises:
        ValueError: An option is out of range, or both ``value_range`` and ``percentiles`` are given.
        ImageReadError: The file is missing, damaged, not a GeoTIFF, too large (:func:`s5_mm.images.max_pixels`), or
            lacks a band, or has values of more than 8 bits without ``value_range`` or ``percentiles``.
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
        if value_range is None and percentiles is None:
            self.stretch = None
            return
        self.stretch = Stretch(percentiles or Stretch.percentiles, value_range)
        if value_range is not None:
            self.stretch.fixed_ranges(len(self.bands))

    @property
    def radiometry(self) -> Radiometry:
        """What is done to the values, as models record it."""
        return Radiometry(self.bands, self.stretch)

    def transform(self, results: dict) -> dict:
        """Add image and sizes, see the class."""
        values, data = self._read(results['img_path'])
        keep_data_mask(results, data)
        img = np.moveaxis(values, 0, -1)
        img = img[..., ::-1] if len(self.bands) == 3 else img
        results['img'] = np.ascontiguousarray(img)
        require_sides(results['img_path'], img)
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def _read(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        """The bands, (C, H, W), uint8, and which pixels have data, (H, W), bool.

        GDAL gets the bytes of the file and only its GeoTIFF driver is used, so neither a path nor a file's content can
        make GDAL open another file.
        """
        try:
            content = fileio.get(path, backend_args=self.backend_args)
            with warnings.catch_warnings(), MemoryFile(content) as memory:
                warnings.simplefilter('ignore', NotGeoreferencedWarning)
                with memory.open(driver='GTiff') as source:
                    require_size(source)
                    return self.decode(path, source, self.ranges(source))
        except (ImageReadError, MemoryError):
            raise
        except RasterError as error:
            raise ImageReadError(path, str(error)) from error
        except Exception as error:
            # rasterio, MMEngine's backends and NumPy raise exceptions of different types.
            raise ImageReadError(path, f'{type(error).__name__}: {error}') from error

    def ranges(self, source: DatasetReader) -> np.ndarray | None:
        """Values of an image that become 0 and 255, (bands, 2); ``None``: values stay as they are."""
        known = self.stretch is not None and max(self.bands) <= source.count
        return find_ranges(source, self.bands, self.stretch) if known else None

    def decode(self, path: str, source: DatasetReader, ranges: np.ndarray | None,
               window: Window | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Read the bands of an open file.

        Args:
            path: The file, for messages.
            source: The open file.
            ranges: See :meth:`ranges`.
            window: Part that is read; ``None``: all.

        Returns:
            The bands, (C, H, W), uint8, and which pixels have data, (H, W), bool.
        """
        if max(self.bands) > source.count:
            raise ImageReadError(path, f'band {max(self.bands)} is requested, the file has {source.count}; choose '
                                 f'`bands` among 1..{source.count}')
        values, marked = source.read(self.bands, window=window), marked_pixels(source, self.bands, window=window)
        if ranges is not None:
            image = to_eight_bits(values, ranges, marked)
            return image, has_data(values, marked, black=True)
        if values.dtype != np.uint8:
            raise ImageReadError(path, f'it has {values.dtype} values; give `value_range` or `percentiles` to '
                                 'define the values that become 0 and 255')
        return values * marked, marked

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(bands={self.bands}, value_range={self.value_range}, percentiles='
                f'{self.percentiles}, backend_args={self.backend_args})')

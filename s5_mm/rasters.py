"""Large images of any raster format, read window by window as 8-bit color."""
import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from s5_mm.images import why_too_large
from s5_mm.radiometry import Stretch, has_data, to_eight_bits

# First bytes of files -> GDAL's driver. Other drivers of GDAL can follow links to other files or to the network.
SIGNATURES = {b'\xff\xd8\xff': 'JPEG', b'\x89PNG': 'PNG', b'II*\0': 'GTiff', b'MM\0*': 'GTiff', b'II+\0': 'GTiff',
              b'MM\0+': 'GTiff', b'BM': 'BMP'}
SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp')
OVERVIEW = 1024
COLORS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


class RasterError(ValueError):
    """A raster that cannot be read; the message gives the reason."""


class Raster:
    """An open image.

    Attributes:
        size: (height, width) in pixels.
    """

    def __init__(self, source: DatasetReader, bands: Sequence[int] | None, stretch: Stretch) -> None:
        self._source = source
        self.size = source.height, source.width
        self._palette = _palette(source) if bands is None else None
        self._bands = _choose_bands(source, bands)
        eight_bits = all(source.dtypes[band - 1] == 'uint8' for band in self._bands)
        self._ranges = None if eight_bits else find_ranges(source, self._bands, stretch)

    def read(self, top: int, left: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a window.

        Args:
            top: First row.
            left: First column.
            height: Rows.
            width: Columns.

        Returns:
            Pixels (height, width, 3), uint8, red, green, blue; and (height, width), bool, which pixels have data, see
            :func:`s5_mm.radiometry.has_data`.

        Raises:
            RasterError: The file is damaged in this window.
        """
        window = Window(left, top, width, height)
        try:
            values = self._source.read(self._bands, window=window)
            marked = self._source.dataset_mask(window=window) > 0
        except RasterioError as error:
            raise RasterError(f'it is damaged at row {top}, column {left}: {error}') from error
        if self._palette is not None:
            return self._palette[values[0]], marked
        data = has_data(values, marked)
        image = values if self._ranges is None else to_eight_bits(values, self._ranges, marked)
        return np.moveaxis(np.broadcast_to(image, (3, height, width)), 0, -1), data


def find_ranges(source: DatasetReader, bands: Sequence[int], stretch: Stretch) -> np.ndarray:
    """Values of an image that become 0 and 255.

    Percentiles are computed on at most 1024 pixels a side, sampled by GDAL's nearest neighbor.

    Args:
        source: The open file.
        bands: Numbers of the bands, from 1.
        stretch: Fixed values or percentiles.

    Returns:
        (bands, 2), float64.

    Raises:
        RasterError: The values are complex numbers.
    """
    types = {source.dtypes[band - 1] for band in bands}
    if any(name.startswith('complex') for name in types):
        raise RasterError(f'its values are complex numbers ({", ".join(sorted(types))}); convert them first')
    if stretch.value_range is not None:
        return stretch.fixed_ranges(len(bands))
    shape = tuple(min(side, OVERVIEW) for side in source.shape)
    values = source.read(bands, out_shape=(len(bands), *shape))
    return stretch.percentile_ranges(values, source.dataset_mask(out_shape=shape) > 0)


def _palette(source: DatasetReader) -> np.ndarray | None:
    """Colors of a palette image, (256, 3), uint8; ``None`` for other images."""
    if source.count != 1 or source.colorinterp[0] != ColorInterp.palette or source.dtypes[0] != 'uint8':
        return None
    colors = np.zeros((256, 3), dtype=np.uint8)
    for index, color in source.colormap(1).items():
        colors[index] = color[:3]
    return colors


def _choose_bands(source: DatasetReader, bands: Sequence[int] | None) -> list[int]:
    """Numbers of the bands of red, green and blue, or of gray."""
    if bands is not None:
        if not all(1 <= band <= source.count for band in bands):
            raise RasterError(f'it has the bands 1..{source.count}, --bands asks for {" ".join(map(str, bands))}')
        return list(bands)
    named = {color: band for band, color in zip(source.indexes, source.colorinterp, strict=True)}
    if all(color in named for color in COLORS):
        return [named[color] for color in COLORS]
    plain = [band for band, color in zip(source.indexes, source.colorinterp, strict=True)
             if color != ColorInterp.alpha]
    if len(plain) in (1, 3):
        return plain
    raise RasterError(f'it has {source.count} bands and does not name red, green and blue; choose them with '
                      '--bands, e.g. --bands 4 3 2')


@contextlib.contextmanager
def open_raster(path: Path, bands: Sequence[int] | None = None, stretch: Stretch | None = None,
                window: int = 512) -> Iterator[Raster]:
    """Open a JPEG, PNG, (Geo)TIFF or BMP.

    The first bytes of a file decide on the driver, and files beside it (.aux.xml, .msk, .ovr) are not read, so neither
    the name nor the content of a file can make GDAL open another one. GDAL keeps the rows of a line of windows in
    memory, not the whole image.

    Args:
        path: A local file.
        bands: Numbers of the bands of red, green and blue (or of one for gray), from 1; ``None``: as named in the file.
        stretch: For values of more than 8 bits; those of 8 bits stay as they are.
        window: Height of the windows that will be read, in pixels.

    Raises:
        RasterError: The file has another format, is damaged, does not name its bands, or a line of windows has more
            pixels than :func:`s5_mm.images.max_pixels`.
    """
    with contextlib.ExitStack() as stack:
        try:
            # GDAL's fast path for whole PNG images accepts truncated files.
            options = dict(GDAL_DISABLE_READDIR_ON_OPEN='EMPTY_DIR', GDAL_PNG_WHOLE_IMAGE_OPTIM=False)
            stack.enter_context(rasterio.Env(**options))
            source = _open(path, stack)
            require_size(source, window)
            pixel = sum(np.dtype(name).itemsize for name in source.dtypes)
            # Some formats are decoded from the top. The cache must hold the lines of a window, or each window would
            # start from the top again.
            lines = min(window, source.height) * source.width * pixel
            stack.enter_context(rasterio.Env(GDAL_CACHEMAX=max(64 << 20, lines * 5 // 4)))
            raster = Raster(source, bands, stretch or Stretch())
        except (OSError, RasterioError) as error:
            raise RasterError(f'it cannot be read: {error}') from error
        yield raster


def require_size(source: DatasetReader, lines: int | None = None) -> None:
    """Check that what will be in memory at once is within :func:`s5_mm.images.max_pixels`.

    Args:
        source: The open file.
        lines: Rows that are read at once; ``None``: the whole image.

    Raises:
        RasterError: The rows, or a tile of the file, have too many pixels.
    """
    rows = source.height if lines is None else min(lines, source.height)
    reason = why_too_large([(rows, source.width), *source.block_shapes])
    if reason:
        raise RasterError(reason)


def _open(path: Path, stack: contextlib.ExitStack) -> DatasetReader:
    with path.open('rb') as file:
        start = file.read(4)
    driver = next((name for mark, name in SIGNATURES.items() if start.startswith(mark)), None)
    if driver is None:
        raise RasterError(f'it is none of {", ".join(dict.fromkeys(SIGNATURES.values()))}')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        # A resolved Path: rasterio and GDAL would interpret a string as an address or an archive.
        return stack.enter_context(rasterio.open(path.resolve(), driver=driver))

"""Large images of any raster format, read window by window as 8-bit color."""
import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.windows import Window

from s5_mm.images import why_too_large
from s5_mm.radiometry import Stretch, has_data, to_eight_bits

# First bytes of files -> GDAL's driver. Other drivers of GDAL can follow links to other files or to the network.
SIGNATURES = {b'\xff\xd8\xff': 'JPEG', b'\x89PNG': 'PNG', b'II*\0': 'GTiff', b'MM\0*': 'GTiff', b'II+\0': 'GTiff',
              b'MM\0+': 'GTiff', b'BM': 'BMP'}
SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp')
OVERVIEW = 1024
PERCENTILES = Stretch()
COLORS = ('red', 'green', 'blue')
OPTIONS = dict(GDAL_DISABLE_READDIR_ON_OPEN='EMPTY_DIR', GDAL_PNG_WHOLE_IMAGE_OPTIM=False)
"""Of GDAL: files beside an image are not read; its fast path for whole PNG images, which accepts truncated files, is
off."""
CHUNK = 4096
"""Columns that are read at a time, at least a block of the file."""


TURNS = {
    '2': lambda pixels: pixels[:, :, ::-1],
    '3': lambda pixels: pixels[:, ::-1, ::-1],
    '4': lambda pixels: pixels[:, ::-1],
    '5': lambda pixels: pixels.transpose(0, 2, 1),
    '6': lambda pixels: pixels.transpose(0, 2, 1)[:, :, ::-1],
    '7': lambda pixels: pixels.transpose(0, 2, 1)[:, ::-1, ::-1],
    '8': lambda pixels: pixels.transpose(0, 2, 1)[:, ::-1],
}
"""EXIF orientation -> what makes (C, H, W) pixels upright (EXIF 2.32, tag 274)."""


class RasterError(ValueError):
    """A raster that cannot be read; the message gives the reason."""


class Raster:
    """An open image.

    Attributes:
        size: (height, width) in pixels.
        crs: Coordinate reference system, or ``None``.
        transform: From (column, row) in pixels to map coordinates; the identity if the file has none.
        bands: Numbers of the bands that are read.
        descriptions: What the file says of these bands, ``None`` where nothing.
        colors: What the file shows them as.
        channels: Number of values of a pixel: 3 of one band or a palette, else that of the bands.
        ranges: Values of each band that become 0 and 255, (bands, 2), float64; ``None`` for 8 bits.
        chunk: Columns that can be read at a time without that a block of the file is decoded twice.
    """

    def __init__(self, source: DatasetReader, bands: Sequence[int | str] | None, stretch: Stretch | None,
                 black: bool | None) -> None:
        self._source = source
        self.size = source.height, source.width
        self.crs, self.transform = source.crs, source.transform
        self._palette = _palette(source) if bands is None else None
        self.bands = _choose_bands(source, bands)
        self.descriptions = tuple(source.descriptions[band - 1] for band in self.bands)
        self.colors = tuple(source.colorinterp[band - 1] for band in self.bands)
        self.channels = 3 if len(self.bands) == 1 else len(self.bands)
        marks = any(MaskFlags.all_valid not in flags for flags in source.mask_flag_enums)
        self._all_marked = not marks
        self._black = (marks or self.crs is None) if black is None else black
        block = max(width for _, width in source.block_shapes)
        self.chunk = max(block, CHUNK // block * block)
        types = sorted({source.dtypes[band - 1] for band in self.bands} - {'uint8'})
        if types and stretch is None:
            raise RasterError(f'it has {", ".join(types)} values; give the values that become 0 and 255 with '
                              '--value-range LOW HIGH, or --percentiles 2 98 of each image')
        self.ranges = find_ranges(source, self.bands, stretch) if types else None

    def values(self, top: int, left: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a window as it is stored.

        Args:
            top: First row.
            left: First column.
            height: Rows.
            width: Columns.

        Returns:
            Values (bands, height, width) in the order of ``bands``; and (height, width), bool, which pixels the file
            itself marks as having data.

        Raises:
            RasterError: The file is damaged in this window.
        """
        window = Window(left, top, width, height)
        try:
            values = self._source.read(self.bands, window=window)
            marked = (np.ones((height, width), bool) if self._all_marked else
                      marked_pixels(self._source, self.bands, window=window))
        except RasterioError as error:
            raise RasterError(f'it is damaged at row {top}, column {left}: {error}') from error
        return values, marked

    def data(self, values: np.ndarray, marked: np.ndarray) -> np.ndarray:
        """Which pixels of a window have data, (height, width), bool; of what :meth:`values` returns."""
        return marked if self._palette is not None else has_data(values, marked, self._black)

    def read(self, top: int, left: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a window.

        Args:
            top: First row.
            left: First column.
            height: Rows.
            width: Columns.

        Returns:
            Pixels (height, width, C), uint8, in the order of ``bands``, of one band three times the same, of a palette
            red, green, blue; and (height, width), bool, which pixels have data, see
            :func:`s5_mm.radiometry.has_data`.

        Raises:
            RasterError: The file is damaged in this window.
        """
        values, marked = self.values(top, left, height, width)
        data = self.data(values, marked)
        if self._palette is not None:
            return self._palette[values[0]], data
        image = values if self.ranges is None else to_eight_bits(values, self.ranges, marked)
        if len(image) == 1:
            image = np.broadcast_to(image, (3, height, width))
        return np.moveaxis(image, 0, -1), data


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
    return stretch.percentile_ranges(values, marked_pixels(source, bands, out_shape=(len(bands), *shape)))


def marked_pixels(source: DatasetReader, bands: Sequence[int], **options: Any) -> np.ndarray:
    """Which pixels have data by the file itself: its no-data values, masks or transparency.

    Args:
        source: The open file.
        bands: Numbers of the bands; a pixel has data if one of these has.
        **options: ``window`` or ``out_shape`` as in rasterio's ``read_masks``.

    Returns:
        (H, W), bool.
    """
    return source.read_masks([*bands], **options).any(axis=0)


def _palette(source: DatasetReader) -> np.ndarray | None:
    """Colors of a palette image, (256, 3), uint8; ``None`` for other images."""
    if source.count != 1 or source.colorinterp[0] != ColorInterp.palette or source.dtypes[0] != 'uint8':
        return None
    colors = np.zeros((256, 3), dtype=np.uint8)
    for index, color in source.colormap(1).items():
        colors[index] = color[:3]
    return colors


def _choose_bands(source: DatasetReader, bands: Sequence[int | str] | None) -> list[int]:
    """Numbers of the bands of red, green and blue, or of gray."""
    names = _band_names(source)
    if bands is not None:
        chosen = [names.get(str(band).lower(), band) for band in bands]
        if not all(band in source.indexes for band in chosen):
            named = f' ({", ".join(names)})' if names else ''
            raise RasterError(f'it has the bands 1..{source.count}{named}, --bands asks for '
                              f'{" ".join(map(str, bands))}')
        return chosen
    if all(color in names for color in COLORS):
        return [names[color] for color in COLORS]
    plain = [band for band, color in zip(source.indexes, source.colorinterp, strict=True)
             if color != ColorInterp.alpha]
    if len(plain) in (1, 3):
        return plain
    raise RasterError(f'it has {source.count} bands and does not name red, green and blue; choose them with '
                      '--bands, e.g. --bands 4 3 2')


def _band_names(source: DatasetReader) -> dict[str, int]:
    """Name -> number: the descriptions of bands in lower case, and the colors that the file gives them."""
    colors = {color.name: band for band, color in zip(source.indexes, source.colorinterp, strict=True)
              if color.name in COLORS}
    texts = {text.lower(): band for band, text in zip(source.indexes, source.descriptions, strict=True) if text}
    return colors | texts


@contextlib.contextmanager
def open_raster(path: Path | str, bands: Sequence[int | str] | None = None, stretch: Stretch | None = PERCENTILES,
                window: int = 512, black: bool | None = False) -> Iterator[Raster]:
    """Open a JPEG, PNG, (Geo)TIFF or BMP, or a VRT of such files.

    The first bytes of a file decide on the driver, and files beside it (.aux.xml, .msk, .ovr) are not read, so neither
    the name nor the content of a file can make GDAL open another one. A VRT names other files, so it is only opened
    where its name ends in ``.vrt``. GDAL keeps the rows of a line of windows in memory, not the whole image.

    A photo with an EXIF orientation is turned as viewers turn it, for which the whole image is in memory. A raster with
    a coordinate reference system stays as it is stored.

    Args:
        path: A local file; or, as text, an address (``https://...``) or a path of GDAL's (``/vsi...``).
        bands: Numbers, from 1, or names of the bands to read; ``None``: red, green and blue, or gray, as the file names
            them.
        stretch: For values of more than 8 bits; those of 8 bits stay as they are. ``None`` refuses more than 8 bits.
        window: Height of the windows that will be read, in pixels.
        black: Whether pixels that are 0 in all bands have data; ``None``: not in files with a coordinate reference
            system that mark no pixels without data themselves.

    Raises:
        RasterError: The file has another format, is damaged, does not have or name its bands, has more than 8 bits
            without ``stretch``, or a line of windows has more pixels than :func:`s5_mm.images.max_pixels`.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(rasterio.Env(**OPTIONS))
            source = _as_viewed(_open(path, stack), stack)
            require_size(source, window)
            pixel = sum(np.dtype(name).itemsize for name in source.dtypes)
            # Some formats are decoded from the top. The cache must hold the lines of a window, or each window would
            # start from the top again.
            lines = min(window, source.height) * source.width * pixel
            stack.enter_context(rasterio.Env(GDAL_CACHEMAX=max(64 << 20, lines * 5 // 4)))
            raster = Raster(source, bands, stretch, black)
        except (OSError, RasterioError) as error:
            raise RasterError(f'it cannot be read: {error}') from error
        yield raster


@contextlib.contextmanager
def open_file(path: Path | str) -> Iterator[DatasetReader]:
    """Open an image file as rasterio gives it, by its first bytes and without files beside it.

    Args:
        path: See :func:`open_raster`.

    Yields:
        The open file.

    Raises:
        RasterError: It cannot be opened; the message gives the reason.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(rasterio.Env(**OPTIONS))
            source = _open(path, stack)
        except (OSError, RasterioError) as error:
            raise RasterError(f'it cannot be read: {error}') from error
        yield source


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


def is_remote(path: Path | str) -> bool:
    """Whether a path is an address, or one of GDAL's own."""
    return isinstance(path, str) and ('://' in path or path.startswith('/vsi'))


def _open(path: Path | str, stack: contextlib.ExitStack) -> DatasetReader:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        if is_remote(path):
            # rasterio.open takes one driver only.
            return stack.enter_context(DatasetReader(path, driver=[*dict.fromkeys(SIGNATURES.values())], sharing=False))
        # A resolved Path: rasterio and GDAL would interpret a string as an address or an archive.
        path = Path(path).resolve()
        return stack.enter_context(rasterio.open(path, driver=_driver(path)))


def _as_viewed(source: DatasetReader, stack: contextlib.ExitStack) -> DatasetReader:
    """The image, turned as its EXIF orientation says; a raster with a place on the map stays as it is stored."""
    turn = TURNS.get(source.tags().get('EXIF_Orientation'))
    if turn is None or source.crs is not None:
        return source
    require_size(source)
    pixels = turn(source.read())
    count, height, width = pixels.shape
    file = stack.enter_context(MemoryFile())
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with file.open(driver='GTiff', count=count, height=height, width=width, dtype=pixels.dtype,
                       nodata=source.nodata) as turned:
            turned.colorinterp = source.colorinterp
            if ColorInterp.palette in source.colorinterp:
                turned.write_colormap(1, source.colormap(1))
            turned.write(pixels)
        return stack.enter_context(file.open())


def _driver(path: Path) -> str:
    """GDAL's driver of a local file."""
    with path.open('rb') as file:
        start = file.read(4)
    if path.suffix.lower() == '.vrt' and start == b'<VRT':
        return 'VRT'
    driver = next((name for mark, name in SIGNATURES.items() if start.startswith(mark)), None)
    if driver is None:
        raise RasterError(f'it is none of {", ".join(dict.fromkeys(SIGNATURES.values()))}')
    return driver

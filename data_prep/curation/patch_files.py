"""Files of patches."""
import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

from s5_mm.files import replacing, write_bytes
from s5_mm.rasters import Raster
from s5_mm.tiling import Window

from .labels import IGNORED

IMAGES = 'images', 'img_dir'
"""Folder of patches without and with labels."""
LABELS = 'ann_dir'


def write_image(pixels: np.ndarray, path: Path, quality: int) -> None:
    """Write a patch as PNG or JPEG.

    Args:
        pixels: (H, W, 3), uint8.
        path: The file.
        quality: Of JPEG.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == '.jpg' else [cv2.IMWRITE_PNG_COMPRESSION, 3]
    done, content = cv2.imencode(path.suffix, cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR), options)
    if not done:
        raise OSError(f'cannot encode {path}')
    write_bytes(path, content.tobytes())


def write_tiff(values: np.ndarray, data: np.ndarray, path: Path, raster: Raster, window: Window) -> None:
    """Write a patch as GeoTIFF with its place on the map; pixels without data are marked by a mask in the file.

    Args:
        values: (bands, H, W).
        data: (H, W), bool.
        path: The file.
        raster: The scene.
        window: Where the patch is.
    """
    alpha = ColorInterp.alpha in raster.colors
    with _created(path, values, raster, window) as file:
        # GDAL writes colors of bands into the header, so they come first.
        file.colorinterp = raster.colors
        file.write(values)
        for band, text in enumerate(raster.descriptions, 1):
            if text:
                file.set_band_description(band, text)
        if not data.all() and not alpha:
            file.write_mask(data)


def write_label(ids: np.ndarray, path: Path, raster: Raster, window: Window) -> None:
    """Write a label: GeoTIFF beside GeoTIFF, else PNG.

    Args:
        ids: (H, W), uint8.
        path: That of the patch, below the folder of labels.
        raster: The scene.
        window: Where the patch is.
    """
    if path.suffix == '.tif':
        with _created(path, ids[None], raster, window, nodata=IGNORED) as file:
            file.write(ids[None])
        return
    write_bytes(path.with_suffix('.png'), cv2.imencode('.png', ids)[1].tobytes())


@contextlib.contextmanager
def _created(path: Path, values: np.ndarray, raster: Raster, window: Window,
             **options: object) -> Iterator[rasterio.io.DatasetWriter]:
    """A GeoTIFF that takes its name when the block ends without an error."""
    transform = raster.transform @ raster.transform.translation(window.left, window.top)
    count, height, width = values.shape
    with replacing(path) as temporary, warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(temporary, 'w', driver='GTiff', count=count, height=height, width=width,
                           dtype=values.dtype, compress='deflate', zlevel=3, crs=raster.crs, transform=transform,
                           **options) as file:
            yield file

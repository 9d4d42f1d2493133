"""Results of a scene: parts that are kept as they are finished, then Cloud Optimized GeoTIFF."""
import os
import shutil
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from s5_mm.files import replacing, write_text

NODATA = 255
"""Value of pixels without data in every result."""
BLOCK = 512
CACHE = 64 << 20


class Parts:
    """Arrays of finished parts of a scene in a folder, a file for each part; what is there is complete.

    Args:
        folder: It is made with the first part.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, part: Sequence[int], names: Iterable[str]) -> bool:
        """Whether a part is there, with all of these arrays."""
        path = self._path(part)
        if not path.is_file():
            return False
        with zipfile.ZipFile(path) as file:
            return {f'{name}.npy' for name in names} <= {*file.namelist()}

    def write(self, part: Sequence[int], arrays: dict[str, np.ndarray]) -> None:
        """Keep a part.

        Args:
            part: Its numbers.
            arrays: By name.
        """
        with replacing(self._path(part)) as temporary, temporary.open('wb') as file:
            np.savez_compressed(file, **arrays)

    def read(self, part: Sequence[int], name: str) -> np.ndarray:
        """An array of a part."""
        with np.load(self._path(part), allow_pickle=False) as arrays:
            return arrays[name]

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, part: Sequence[int]) -> Path:
        return self.folder / f'{"-".join(f"{number:06d}" for number in part)}.npz'


@dataclass(frozen=True)
class Layer:
    """A raster of results.

    Attributes:
        path: The file.
        arrays: Names of its bands in :class:`Parts`.
        resampling: GDAL's way of computing overviews.
        descriptions: Names of its bands.
        tags: Metadata of the file.
        classes: Names of the values, of a raster of class ids.
        palette: Red, green and blue of each.
    """

    path: Path
    arrays: tuple[str, ...]
    resampling: str = 'average'
    descriptions: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()


def assemble(layer: Layer, parts: Parts, shape: tuple[int, int], size: tuple[int, int], crs: CRS | None,
             transform: Affine) -> None:
    """Write a layer as a Cloud Optimized GeoTIFF, block by block.

    Args:
        layer: The layer.
        parts: Its arrays; the part (p, l) is that of panel p, from left to right, and line l, from top to bottom.
        shape: Numbers of panels and lines.
        size: Height and width in pixels.
        crs: Coordinate reference system, if any.
        transform: From (column, row) to map coordinates.
    """
    height, width = size
    panels, lines = shape
    whole, finished = parts.folder / 'whole.tif', parts.folder / 'finished.tif'
    options = dict(driver='GTiff', height=height, width=width, count=len(layer.arrays), dtype='uint8', nodata=NODATA,
                   tiled=True, blockxsize=BLOCK, blockysize=BLOCK, compress='deflate', zlevel=1, interleave='band',
                   bigtiff='if_safer', crs=crs, transform=transform)
    with warnings.catch_warnings(), rasterio.Env(GDAL_CACHEMAX=CACHE):
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(whole, 'w', **options) as file:
            file.update_tags(**layer.tags)
            for band, (name, text) in enumerate(zip(layer.arrays, layer.descriptions, strict=True), 1):
                file.set_band_description(band, text)
                top = 0
                for rows in _blocks(np.concatenate([parts.read((panel, line), name) for panel in range(panels)], axis=1)
                                    for line in range(lines)):
                    file.write(rows, band, window=Window(0, top, width, len(rows)))
                    top += len(rows)
            if layer.classes:
                file.write_colormap(1, {index: (*color, 255) for index, color in enumerate(layer.palette)})
        rasterio.shutil.copy(whole, finished, driver='COG', compress='DEFLATE', blocksize=BLOCK, bigtiff='IF_SAFER',
                             overview_resampling=layer.resampling)
    whole.unlink()
    if layer.classes:
        write_text(layer.path.with_name(f'{layer.path.name}.aux.xml'), _category_names(layer.classes))
    os.replace(finished, layer.path)


def _blocks(parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Rows in pieces of the height of a block of the file, so that each block is written once."""
    held: list[np.ndarray] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= BLOCK:
            rows = np.concatenate(held)
            ready = len(rows) // BLOCK * BLOCK
            yield rows[:ready]
            held = [rows[ready:].copy()]
    rest = np.concatenate(held)
    if len(rest):
        yield rest


def _category_names(classes: Sequence[str]) -> str:
    """GDAL's file of auxiliary metadata, from which QGIS takes the names of classes."""
    root = ElementTree.Element('PAMDataset')
    names = ElementTree.SubElement(ElementTree.SubElement(root, 'PAMRasterBand', band='1'), 'CategoryNames')
    for name in classes:
        ElementTree.SubElement(names, 'Category').text = name
    return ElementTree.tostring(root, encoding='unicode')

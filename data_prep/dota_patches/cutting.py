"""Division of a whole image and its label file into patches and their label files."""
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep import preparing
from data_prep.downloads import PreparationError
from data_prep.preparing import Source
from s5_mm.datasets.rotated import short_sides
from s5_mm.datasets.rotated_files import LabelError, parse_dota_text
from s5_mm.radiometry import Stretch
from s5_mm.rasters import Raster, RasterError, open_raster

from .windows import ObjectShares, PatchWindow, Settings, find_patches, patch_lines

FLAT = 1e-3  # pixels


def prepare_image(source: Source, out: Path, settings: Settings, classes: Sequence[str]) -> dict:
    """Copy an image and its label, and write its patches.

    Args:
        source: The image.
        out: Output folder.
        settings: Settings of the patches.
        classes: Allowed class names of objects.

    Returns:
        The record: ``files`` written, ``size`` (height, width) of the image, and the numbers of ``objects``, of
        objects that belong to no patch (``lost``) and of objects without area (``flat``).

    Raises:
        PreparationError: A file is damaged, or an object has an unknown class.
    """
    image = f'{source.split}/images/{source.name}{Path(source.image.name).suffix.lower()}'
    label = f'{source.split}/labelTxt/{source.name}.txt'
    preparing.place(source.image, out / image, settings.link)
    polygons, names, difficulties = _read_label(source, classes)
    if source.mask:
        preparing.place(source.mask, out / label, settings.link)
    files, found = [image, *([label] if source.mask else [])], np.zeros(len(names), bool)
    lines_read = math.ceil(settings.size / min(settings.rates)) + 2
    try:
        with open_raster(out / image, stretch=Stretch(value_range=settings.value_range), window=lines_read) as raster:
            shares = ObjectShares(polygons, raster.size)
            for patch in find_patches(raster.size, settings):
                shown = shares.of(patch)
                found |= shown >= settings.keep - 1e-9
                lines, belonging = patch_lines(polygons, names, difficulties, shown, patch, settings)
                if settings.drop_empty and not belonging and source.split.startswith('train'):
                    continue
                files += _write_patch(read_patch(raster, patch), lines if source.mask else None, out,
                                      source.split, patch.name(source.name, settings.size), settings)
            size = raster.size
    except RasterError as error:
        raise PreparationError(f'cannot cut {source.image}: {error}') from error
    flat = sum(side < FLAT for side in short_sides(polygons))
    return {'files': files, 'size': size, 'objects': len(names), 'lost': int((~found).sum()), 'flat': flat}


def _read_label(source: Source, classes: Sequence[str]) -> tuple[np.ndarray, list[str], list[int]]:
    """Polygons (N, 8), classes and difficulties."""
    try:
        objects = parse_dota_text(source.mask.read(), str(source.mask)) if source.mask else []
    except LabelError as error:
        raise PreparationError(str(error)) from error
    unknown = Counter(found.name for found in objects if found.name not in classes)
    if unknown:
        raise PreparationError(f'{source.mask} has {unknown.total()} objects of unknown classes, e.g. '
                               f'{next(iter(unknown))!r}; known are {", ".join(classes)}. Choose them by --version or '
                               '--classes')
    polygons = np.array([found.polygon for found in objects], np.float64).reshape(-1, 8)
    return polygons, [found.name for found in objects], [found.difficulty for found in objects]


def read_patch(raster: Raster, patch: PatchWindow) -> np.ndarray:
    """(height, width, 3) uint8 of a patch without padding, resampled where it has another scale."""
    if patch.rate == 1:
        return raster.read(patch.top, patch.left, patch.height, patch.width)[0]
    left, top, right, bottom = patch.on_file()
    margin = math.ceil(1 / patch.rate) + 1  # pixels beyond the border that the filter reads
    x0, y0 = (max(0, math.floor(value) - margin) for value in (left, top))
    x1, y1 = (min(side, math.ceil(value) + margin) for side, value in zip(raster.size[::-1], (right, bottom),
                                                                          strict=True))
    pixels = Image.fromarray(np.ascontiguousarray(raster.read(y0, x0, y1 - y0, x1 - x0)[0]))
    place = (left - x0, top - y0, min(right, x1) - x0, min(bottom, y1) - y0)
    return np.asarray(pixels.resize((patch.width, patch.height), Image.Resampling.BILINEAR, box=place))


def _write_patch(pixels: np.ndarray, lines: list[str] | None, out: Path, split: str, name: str,
                 settings: Settings) -> list[str]:
    """Write a patch and its label, if any; returns their paths below ``out``."""
    if pixels.shape[:2] != (settings.size, settings.size):
        padded = np.empty((settings.size, settings.size, 3), np.uint8)
        padded[:] = settings.pad
        padded[:pixels.shape[0], :pixels.shape[1]] = pixels
        pixels = padded
    files = [f'patches/{split}/images/{name}.png']
    preparing.save_png(np.ascontiguousarray(pixels), out / files[0])
    if lines is not None:
        files.append(f'patches/{split}/labelTxt/{name}.txt')
        preparing.write_text(''.join(lines), out / files[1])
    return files

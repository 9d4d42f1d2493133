"""Scenes on their way to the model: found by name, read once from top to bottom."""
import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s5_mm.rasters import SUFFIXES, Raster, is_remote

from .grid import Panel


def find_scenes(given: Sequence[str | Path]) -> list[Path | str]:
    """Files that a command line names.

    Args:
        given: Files, folders (searched with their subfolders), patterns such as ``'tiles/*.tif'``, addresses
            (``https://...``) and paths of GDAL's (``/vsi...``).

    Returns:
        Paths in the order given, those of a folder or pattern sorted; addresses stay text.

    Raises:
        FileNotFoundError: A folder or pattern holds no image.
        ValueError: Two scenes have the same name without suffix.
    """
    scenes: list[Path | str] = []
    for item in given:
        if is_remote(item):
            scenes.append(item)
        elif Path(item).is_dir():
            found = sorted(path for path in Path(item).rglob('*') if path.suffix.lower() in SUFFIXES)
            if not found:
                raise FileNotFoundError(f'found no image in {item} or below it (looked for {" ".join(SUFFIXES)})')
            scenes += found
        elif not Path(item).exists() and glob.has_magic(str(item)):
            found = sorted(map(Path, glob.glob(str(item), recursive=True)))
            if not found:
                raise FileNotFoundError(f'no file matches {item}')
            scenes += found
        else:
            scenes.append(Path(item))
    names = Counter(map(scene_name, scenes))
    double = [str(scene) for scene in scenes if names[scene_name(scene)] > 1]
    if double:
        raise ValueError(f'{", ".join(double)}: results are named after the scene without its suffix, so these would '
                         'overwrite each other; use separate calls with different --out.')
    return scenes


def scene_name(scene: Path | str) -> str:
    """Name of a scene's results: that of its file without suffix."""
    return Path(str(scene).partition('?')[0]).stem


class Line(NamedTuple):
    """The pixels of a line of windows, over the width of a panel's windows.

    Attributes:
        index: Of the line.
        pixels: (C, side, W), uint8. Three bands are blue, green, red, as pipelines load images; others are in the order
            of the raster's bands. 0 beyond the scene. Overwritten when the next line is taken.
        data: (side, W), bool, which pixels have data; none beyond the scene. Likewise.
    """

    index: int
    pixels: np.ndarray
    data: np.ndarray


def read_lines(raster: Raster, panel: Panel, lines: range) -> Iterator[Line]:
    """Read lines of windows; each row is read once, and the next ones while the caller works on a line.

    Args:
        raster: The open scene; nothing else may read from it meanwhile.
        panel: The windows.
        lines: Indices of successive lines, at least one.

    Yields:
        The lines.
    """
    tops, side = panel.grid.tops, panel.grid.side
    with ThreadPoolExecutor(1) as reader:
        pending = reader.submit(_rows, raster, panel, tops[lines[0]], side)
        pixels = data = None
        for line in lines:
            new_pixels, new_data = pending.result()
            if pixels is None:
                pixels, data = new_pixels, new_data
            else:
                for old, new in ((pixels, new_pixels), (data[None], new_data[None])):
                    for band, added in zip(old, new, strict=True):
                        band[:-len(added)] = band[len(added):]
                        band[-len(added):] = added
            if line + 1 in lines:
                pending = reader.submit(_rows, raster, panel, tops[line] + side, tops[line + 1] - tops[line])
            yield Line(line, pixels, data)


def _rows(raster: Raster, panel: Panel, top: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the panel's windows, see :class:`Line`."""
    height, width = raster.size
    pixels = np.zeros((raster.channels, number, panel.width), np.uint8)
    data = np.zeros((number, panel.width), bool)
    number, right = min(number, height - top), min(panel.left + panel.width, width)
    for left in range(panel.left, right, raster.chunk):
        part, valid = raster.read(top, left, number, min(raster.chunk, right - left))
        place = slice(left - panel.left, left - panel.left + valid.shape[1])
        pixels[:, :number, place] = model_order(part)
        data[:number, place] = valid
    return pixels, data


def model_order(pixels: np.ndarray) -> np.ndarray:
    """Pixels (H, W, C) as (C, H, W), three bands reversed to blue, green, red as pipelines load images."""
    planes = np.moveaxis(pixels, -1, 0)
    return planes[::-1] if len(planes) == 3 else planes

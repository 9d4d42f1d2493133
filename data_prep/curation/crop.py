"""Cropping of large images into patches for an unlabeled pool."""
import json
import os
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from data_prep.workers import each
from s5_mm.datasets.unlabeled import image_names
from s5_mm.files import keep_settings, remove_parts, write_bytes, write_json
from s5_mm.locks import locked
from s5_mm.radiometry import Stretch
from s5_mm.rasters import SUFFIXES, RasterError, open_raster
from s5_mm.tiling import windows

RECORDS = 'records'
IMAGES = 'images'


@dataclass(frozen=True)
class CropSettings:
    """Settings of the patches.

    Attributes:
        size: Side of a patch in pixels.
        stride: Pixels from one patch to the next.
        edge: ``'shift'``: the last patch of a line is moved inside; ``'drop'``: the rest of the line is dropped.
        min_side: Images smaller than ``size`` are kept whole if their sides are at least this.
        min_valid: Least share of pixels with data in a patch.
        bands: See :func:`open_raster`.
        stretch: See :class:`Stretch`.
        format: ``'png'`` or ``'jpg'``.
        quality: Quality of JPEG, 1 ... 100.
    """

    size: int = 512
    stride: int = 512
    edge: str = 'shift'
    min_side: int = 128
    min_valid: float = 0.5
    bands: tuple[int, ...] | None = None
    stretch: Stretch = Stretch()
    format: str = 'png'
    quality: int = 95

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: A number is out of range.
        """
        for name, low in dict(size=32, stride=1, min_side=1).items():
            if getattr(self, name) < low:
                raise ValueError(f'--{name.replace("_", "-")} is {getattr(self, name)}; it must be at least {low}')
        if not 0 <= self.min_valid <= 1:
            raise ValueError(f'--min-valid is {self.min_valid}; it is a share, 0..1')
        if not 1 <= self.quality <= 100:
            raise ValueError(f'--quality is {self.quality}; it must be 1..100')
        if self.bands is not None and len(self.bands) not in (1, 3):
            raise ValueError(f'--bands names {len(self.bands)} bands; give three (red, green, blue) or one (gray)')


class Totals(NamedTuple):
    """Numbers of a run.

    Attributes:
        images: Large images that were cut.
        patches: Patches written.
        empty: Patches left out, because they have too little data or one color.
        errors: (image, reason) of the images that could not be cut.
    """

    images: int
    patches: int
    empty: int
    errors: list[tuple[str, str]]


def crop(source: Path, out: Path, settings: CropSettings, workers: int = 1, max_errors: float = 0.01) -> Totals:
    """Cut all images below a folder into ``OUT/images``, except those that an earlier run has cut.

    Args:
        source: Folder of large images; its subfolders are kept in the output.
        out: Output folder.
        settings: Settings of the patches.
        workers: Processes.
        max_errors: Share of the images that may be unreadable. They are tried again when the command is repeated.

    Raises:
        FileNotFoundError: The folder is missing or holds no image.
        FolderInUseError: Another process cuts into the output folder.
        ValueError: The output was made with other settings, two images would give patches of the same name, or too many
            images could not be cut.
    """
    images = find_images(source, out)
    with locked(out):
        keep_settings(out / 'crop.json', {**asdict(settings), 'source': str(source.resolve())})
        remove_parts(out)
        records = _cut_missing(images, source, out, settings, workers)
    errors = [(image, records[image]['error']) for image in images if 'error' in records[image]]
    if len(errors) > max_errors * len(images):
        shown = '; '.join(f'{image}: {reason}' for image, reason in errors[:3])
        raise ValueError(f'{len(errors)} of {len(images)} images could not be cut, the limit is {max_errors:.2%} '
                         f'(--max-errors): {shown}. The other images are done; repair these and repeat the command')
    good = [record for record in records.values() if 'error' not in record]
    return Totals(len(good), sum(record['patches'] for record in good), sum(record['empty'] for record in good), errors)


def _cut_missing(images: dict[str, str], source: Path, out: Path, settings: CropSettings,
                 workers: int) -> dict[str, dict]:
    """Records of all images, after those that have none or failed were cut."""
    records = {image: record for image in images if (record := _record(out, image)) and 'error' not in record}
    todo = [item for item in images.items() if item[0] not in records]
    work = partial(crop_image, source=source, out=out, settings=settings)
    with tqdm(total=len(images), initial=len(records), desc='cutting', unit='image', disable=None) as bar:
        for (image, _), record in each(work, todo, workers):
            records[image] = record
            bar.update()
            bar.set_postfix(patches=sum(entry.get('patches', 0) for entry in records.values()), refresh=False)
    return records


def find_images(source: Path, out: Path) -> dict[str, str]:
    """Images below a folder and what the names of their patches begin with, both relative to it, sorted.

    That is the path without its suffix, or, where images differ in nothing else (a scene and its quicklook), the path
    with ``_SUFFIX``. Links to folders are followed.

    Args:
        source: The folder.
        out: Output folder, which is not searched if it is inside.

    Raises:
        FileNotFoundError: The folder is missing or holds no image.
        ValueError: Two images would give patches of the same name.
    """
    if not source.is_dir():
        raise FileNotFoundError(f'the source folder {source} does not exist')
    found = sorted(name for names in image_names(str(source), SUFFIXES, left_out=str(out)) for name in names)
    if not found:
        raise FileNotFoundError(f'found no image in {source} or below it (looked for {" ".join(SUFFIXES)})')
    number = Counter(os.path.splitext(name)[0] for name in found)
    stems: dict[str, str] = {}
    for name in found:
        stem, suffix = os.path.splitext(name)
        stem += f'_{suffix[1:]}' if number[stem] > 1 else ''
        other = stems.setdefault(stem, name)
        if other != name:
            raise ValueError(f'{other} and {name} would give patches of the same name; rename or remove one of them')
    return {name: stem for stem, name in stems.items()}


def crop_image(item: tuple[str, str], source: Path, out: Path, settings: CropSettings) -> dict:
    """Write the patches of an image, then a record that marks them as complete.

    Args:
        item: An image as :func:`find_images` gives it: its path and what the names of its patches begin with.
        source: The source folder.
        out: The output folder.
        settings: Settings of the patches.

    Returns:
        The record: ``patches`` and ``empty`` (numbers), or ``error`` (the reason why it could not be cut).
    """
    image, stem = item
    record = dict(patches=0, empty=0)
    try:
        with open_raster(source / image, settings.bands, settings.stretch, settings.size) as raster:
            height, width = (min(side, settings.size) for side in raster.size)
            if min(height, width) < settings.min_side:
                raise RasterError(f'it is {width} x {height} pixels, smaller than --min-side {settings.min_side}')
            for window in windows(raster.size, settings.size, settings.stride, settings.edge):
                pixels, data = raster.read(*window)
                if is_empty(pixels, data, settings.min_valid):
                    record['empty'] += 1
                    continue
                path = _patch_path(out, stem, window.top, window.left, settings.format)
                _write_patch(pixels, path, settings.quality)
                record['patches'] += 1
    except RasterError as error:
        record = dict(error=str(error))
    write_json(_record_path(out, image), record)
    return record


def is_empty(pixels: np.ndarray, data: np.ndarray, min_valid: float) -> bool:
    """Whether a patch is empty: it has too few pixels with data, or one color.

    Args:
        pixels: (H, W, 3), uint8.
        data: (H, W), bool, which pixels have data.
        min_valid: Least share of pixels with data; with 0 one pixel is enough.
    """
    return not data.any() or data.mean() < min_valid or bool((pixels == pixels[0, 0]).all())


def _patch_path(out: Path, stem: str, top: int, left: int, suffix: str) -> Path:
    return out / IMAGES / f'{stem}_{top}_{left}.{suffix}'


def _write_patch(pixels: np.ndarray, path: Path, quality: int) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == '.jpg' else [cv2.IMWRITE_PNG_COMPRESSION, 3]
    done, content = cv2.imencode(path.suffix, cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR), options)
    if not done:
        raise OSError(f'cannot encode {path}')
    write_bytes(path, content.tobytes())


def _record_path(out: Path, image: str) -> Path:
    return out / RECORDS / f'{image}.json'


def _record(out: Path, image: str) -> dict | None:
    path = _record_path(out, image)
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):  # without a readable record the image is cut again
        return None
    numbers = record if isinstance(record, dict) else {}
    complete = isinstance(numbers.get('patches'), int) and isinstance(numbers.get('empty'), int)
    return record if complete or isinstance(numbers.get('error'), str) else None

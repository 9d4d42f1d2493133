"""Cropping of large images into patches: for an unlabeled pool, or with their labels for training and validation."""
import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from data_prep.workers import each
from s5_mm.datasets.unlabeled import image_names
from s5_mm.files import keep_settings, remove_parts, write_json
from s5_mm.locks import locked
from s5_mm.radiometry import Stretch
from s5_mm.rasters import SUFFIXES, Raster, RasterError, open_file, open_raster
from s5_mm.tiling import Window, windows

from .blocks import blocks, windows_in
from .dataset import write_dataset, write_patches
from .labels import IGNORED, Labels, LabelSettings, distinct_values, find_labels, open_labels, read_polygons
from .patch_files import IMAGES, LABELS, write_image, write_label, write_tiff

RECORDS = 'records'
SETTINGS = 'crop.json'


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
        format: ``'png'`` or ``'jpg'``: three bands of 8 bits. ``'tif'``: all bands and values as they are, with their
            place on the map.
        quality: Quality of JPEG, 1 ... 100.
        labels: Where the labels are; ``None`` for images alone.
    """

    size: int = 512
    stride: int = 512
    edge: str = 'shift'
    min_side: int = 128
    min_valid: float = 0.5
    bands: tuple[int | str, ...] | None = None
    stretch: Stretch = Stretch()
    format: str = 'png'
    quality: int = 95
    labels: LabelSettings | None = None

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
        if self.bands is not None and self.format == 'tif':
            raise ValueError('--format tif keeps all bands and --bands chooses some; leave one of them out. The bands '
                             'of GeoTIFF are chosen in training, by s5_mm.LoadGeoTIFF(bands=...)')
        if self.labels and self.labels.block < self.size:
            raise ValueError(f'--block is {self.labels.block}, smaller than a patch of {self.size} px')


class Scene(NamedTuple):
    """An image to cut.

    Attributes:
        image: Path relative to the source folder.
        stem: What the names of its patches begin with.
        label: File of its labels.
    """

    image: str
    stem: str
    label: Path | None = None


class Totals(NamedTuple):
    """Numbers of a run.

    Attributes:
        images: Large images that were cut.
        patches: Patches written.
        empty: Patches left out, because they have too little data, one color, or no labeled pixel.
        errors: (image, reason) of the images that could not be cut.
        notes: What else is worth to be said.
    """

    images: int
    patches: int
    empty: int
    errors: list[tuple[str, str]]
    notes: tuple[str, ...] = ()


def crop(source: Path, out: Path, settings: CropSettings, workers: int = 1, max_errors: float = 0.01) -> Totals:
    """Cut all images below a folder, except those that an earlier run has cut.

    Patches go to ``OUT/images``; with labels to ``OUT/img_dir/{train,val}`` and ``OUT/ann_dir/{train,val}``.
    ``OUT/patches.parquet`` lists them with their footprints.

    Args:
        source: Folder of large images; its subfolders are kept in the output.
        out: Output folder.
        settings: Settings of the patches. Without ``labels.classes`` each value in the labels is a class.
        workers: Processes.
        max_errors: Share of the images that may be unreadable. They are tried again when the command is repeated.

    Raises:
        FileNotFoundError: The folder is missing or holds no image, or there is no such file of labels.
        FolderInUseError: Another process cuts into the output folder.
        ValueError: The output was made with other settings, two images would give patches of the same name, a label is
            missing or means nothing, or too many images could not be cut.
    """
    scenes, settings = _scenes(source, out, settings)
    with locked(out):
        if (out / SETTINGS).exists():
            _keep(source, out, settings)
        remove_parts(out)
        records = _cut_missing(scenes, source, out, settings, workers)
        errors = [(scene.image, records[scene.image]['error']) for scene in scenes
                  if 'error' in records[scene.image]]
        good = [record for record in records.values() if 'error' not in record]
        notes = _write_lists(good, out, settings)
    if len(errors) > max_errors * len(scenes):
        shown = '; '.join(f'{image}: {reason}' for image, reason in errors[:3])
        raise ValueError(f'{len(errors)} of {len(scenes)} images could not be cut, the limit is {max_errors:.2%} '
                         f'(--max-errors): {shown}. The other images are done; repair these and repeat the command')
    return Totals(len(good), sum(len(record['patches']) for record in good), sum(record['empty'] for record in good),
                  errors, notes)


def _scenes(source: Path, out: Path, settings: CropSettings) -> tuple[list[Scene], CropSettings]:
    """Images with their labels, and the settings with all classes."""
    images = find_images(source, out, settings.labels)
    given = settings.labels
    if given is None:
        return [Scene(image, stem) for image, stem in images.items()], settings
    labels = find_labels([*images], source, given)
    if not given.classes:
        values = distinct_values([*labels.values()], given.attribute)
        if not values:
            raise ValueError(f'the labels in {given.path} have no value; choose their values with --classes')
        given = replace(given, classes=tuple((value, str(value)) for value in values))
    elif given.attribute is not None:
        for path in {*labels.values()}:
            read_polygons(path, given.attribute)
    scenes = [Scene(image, images[image], label) for image, label in labels.items()]
    return scenes, replace(settings, labels=replace(given, path=str(Path(given.path).resolve())))


def _keep(source: Path, out: Path, settings: CropSettings) -> None:
    """Store the settings, or check that they are the same."""
    keep_settings(out / SETTINGS, {**asdict(settings), 'source': str(source.resolve())})


def _write_lists(records: Sequence[dict], out: Path, settings: CropSettings) -> tuple[str, ...]:
    """Write what tells about all patches."""
    if not any(record['patches'] for record in records):
        return ()
    frame = write_patches(records, out, settings.labels and settings.labels.names)
    return () if settings.labels is None else write_dataset(frame, records, out, settings.labels)


def _cut_missing(scenes: Sequence[Scene], source: Path, out: Path, settings: CropSettings,
                 workers: int) -> dict[str, dict]:
    """Records of all images, after those that have none or failed were cut."""
    images = [scene.image for scene in scenes]
    records = {image: record for image in images if (record := _record(out, image)) and 'error' not in record}
    todo = [scene for scene in scenes if scene.image not in records]
    work = partial(crop_image, source=source, out=out, settings=settings)
    with tqdm(total=len(images), initial=len(records), desc='cutting', unit='image', disable=None) as bar:
        for scene, record in each(work, todo, workers):
            records[scene.image] = record
            bar.update()
            bar.set_postfix(patches=sum(len(entry.get('patches', ())) for entry in records.values()), refresh=False)
    return {image: records[image] for image in images}


def find_images(source: Path, out: Path, labels: LabelSettings | None = None) -> dict[str, str]:
    """Images below a folder and what the names of their patches begin with, both relative to it, sorted.

    That is the path without its suffix, or, where images differ in nothing else (a scene and its quicklook), the path
    with ``_SUFFIX``. Links to folders are followed.

    Args:
        source: The folder.
        out: Output folder, which is not searched if it is inside.
        labels: Where labels are; a folder of them is not searched either if it is inside.

    Raises:
        FileNotFoundError: The folder is missing or holds no image.
        ValueError: Two images would give patches of the same name.
    """
    if not source.is_dir():
        raise FileNotFoundError(f'the source folder {source} does not exist')
    found = sorted(name for names in image_names(str(source), SUFFIXES, left_out=str(out)) for name in names)
    if not found:
        raise FileNotFoundError(f'found no image in {source} or below it (looked for {" ".join(SUFFIXES)})')
    if labels is not None:
        inside = Path(labels.path).resolve()
        found = [name for name in found if source.resolve() == inside or
                 not (source / name).resolve().is_relative_to(inside)]
    number = Counter(os.path.splitext(name)[0] for name in found)
    stems: dict[str, str] = {}
    for name in found:
        stem, suffix = os.path.splitext(name)
        stem += f'_{suffix[1:]}' if number[stem] > 1 else ''
        other = stems.setdefault(stem, name)
        if other != name:
            raise ValueError(f'{other} and {name} would give patches of the same name; rename or remove one of them')
    return {name: stem for stem, name in stems.items()}


def crop_image(scene: Scene, source: Path, out: Path, settings: CropSettings) -> dict:
    """Write the patches of an image, then a record that marks them as complete.

    Args:
        scene: The image.
        source: The source folder.
        out: The output folder.
        settings: Settings of the patches.

    Returns:
        The record: ``patches`` (a dict for each), ``empty`` (number), ``crs`` (WKT), ``transform`` and ``ranges``; or
        ``error`` (the reason why it could not be cut).
    """
    record: dict[str, Any] = dict(patches=[], empty=0)
    try:
        bands = _all_bands(source / scene.image) if settings.format == 'tif' else settings.bands
        with open_raster(source / scene.image, bands, settings.stretch, settings.size) as raster, \
                _labels(scene, raster, settings) as labels:
            height, width = (min(side, settings.size) for side in raster.size)
            if min(height, width) < settings.min_side:
                raise RasterError(f'it is {width} x {height} pixels, smaller than --min-side {settings.min_side}')
            record.update(image=scene.image, crs=raster.crs and raster.crs.to_wkt(), transform=[*raster.transform][:6],
                          ranges=None if raster.ranges is None else raster.ranges.tolist())
            for split, window in _windows(raster.size, labels, scene, settings):
                patch = _cut(raster, labels, window, split, scene, source, out, settings)
                if patch is None:
                    record['empty'] += 1
                else:
                    record['patches'].append(patch)
    except RasterError as error:
        record = dict(error=str(error))
    write_json(_record_path(out, scene.image), record)
    return record


def _all_bands(path: Path) -> tuple[int, ...]:
    with open_file(path) as source:
        if source.colorinterp[0].name == 'palette':
            raise RasterError('it has a palette; cut it with --format png')
        return tuple(source.indexes)


@contextlib.contextmanager
def _labels(scene: Scene, raster: Raster, settings: CropSettings) -> Iterator[Labels | None]:
    if scene.label is None:
        yield None
        return
    with open_labels(scene.label, raster, settings.labels) as labels:
        yield labels


def _windows(size: tuple[int, int], labels: Labels | None, scene: Scene,
             settings: CropSettings) -> Iterator[tuple[str | None, Window]]:
    """Places of the patches, and what they are for."""
    if labels is None:
        yield from ((None, window) for window in windows(size, settings.size, settings.stride, settings.edge))
        return
    given = settings.labels
    for block in blocks(size, given.block, given.val, given.seed, scene.stem,
                        lambda place: bool((labels.read(place) != IGNORED).any())):
        yield from ((block.split, window) for window in
                    windows_in(block.window, settings.size, settings.stride, settings.edge))


def _cut(raster: Raster, labels: Labels | None, window: Window, split: str | None, scene: Scene, source: Path,
         out: Path, settings: CropSettings) -> dict | None:
    """Write a patch and its label; what the manifest says of it, or ``None`` if it is empty."""
    keeps_values = settings.format == 'tif'
    if keeps_values:
        values, marked = raster.values(*window)
        data = raster.data(values, marked)
    else:
        pixels, data = raster.read(*window)
        values = np.moveaxis(pixels, -1, 0)
    if is_empty(np.moveaxis(values, 0, -1), data, settings.min_valid):
        return None
    # With the first patch: a run in which nothing was cut may be repeated with other settings.
    if not (out / SETTINGS).exists():
        _keep(source, out, settings)
    name = f'{scene.stem}_{window.top}_{window.left}.{settings.format}'
    patch = dict(path=name if split is None else f'{split}/{name}', split=split, window=[*window],
                 valid=round(float(data.mean()), 4))
    if labels is not None:
        ids = labels.read(window)
        ids[~data] = IGNORED
        counts = np.bincount(ids.ravel(), minlength=256)
        if counts[IGNORED] == ids.size:
            return None
        patch['counts'] = counts[:len(settings.labels.names)].tolist()
        write_label(ids, out / LABELS / patch['path'], raster, window)
    place = out / IMAGES[labels is not None] / patch['path']
    if keeps_values:
        write_tiff(values, data, place, raster, window)
    else:
        write_image(pixels, place, settings.quality)
    return patch


def is_empty(pixels: np.ndarray, data: np.ndarray, min_valid: float) -> bool:
    """Whether a patch is empty: it has too few pixels with data, or one color.

    Args:
        pixels: (H, W, C).
        data: (H, W), bool, which pixels have data.
        min_valid: Least share of pixels with data; with 0 one pixel is enough.
    """
    return not data.any() or data.mean() < min_valid or bool((pixels == pixels[0, 0]).all())


def _record_path(out: Path, image: str) -> Path:
    return out / RECORDS / f'{image}.json'


def _record(out: Path, image: str) -> dict | None:
    path = _record_path(out, image)
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):  # without a readable record the image is cut again
        return None
    numbers = record if isinstance(record, dict) else {}
    complete = isinstance(numbers.get('patches'), list) and isinstance(numbers.get('empty'), int)
    return record if complete or isinstance(numbers.get('error'), str) else None

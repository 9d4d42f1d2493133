"""Labels of scenes, from rasters or polygons, on the grid of the scene."""
import contextlib
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import rasterio.features
import shapely
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from s5_mm.rasters import SUFFIXES, Raster, RasterError, open_file
from s5_mm.tiling import Window as Place

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

IGNORED = 255
VECTORS = {'.gpkg': b'SQLite format 3\0', '.geojson': b'{', '.json': b'{', '.parquet': b'PAR1'}
"""Suffix of files of polygons -> how they begin."""
MAX_CLASSES = 255
ROWS_AT_A_TIME = 512
Value = int | str


@dataclass(frozen=True)
class LabelSettings:
    """Where labels are and what they mean.

    Attributes:
        path: A file for all scenes, or a folder with a file for each, named as the scene.
        suffix: What follows the scene's name in that of its label.
        attribute: Attribute of polygons that tells their class.
        classes: (value in the labels, name) of each class, in the order of the ids.
        background: Name of the class of pixels outside of all polygons, the last id; ``None``: they are ignored.
        val: Share of each scene's area for validation.
        block: Side of the blocks of a scene that are for training or validation as a whole, in pixels.
        seed: Of the choice of blocks.
    """

    path: str
    suffix: str = ''
    attribute: str | None = None
    classes: tuple[tuple[Value, str], ...] = ()
    background: str | None = None
    val: float = 0.2
    block: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: One is out of range, or there are too many classes, or two of one name.
        """
        if not 0 <= self.val < 1:
            raise ValueError(f'--val is {self.val}; it is a share, 0 <= share < 1')
        names = self.names
        if len(names) > MAX_CLASSES:
            raise ValueError(f'there are {len(names)} classes, at most {MAX_CLASSES} are possible; choose some with '
                             '--classes, or another --attribute')
        double = {name for name in names if names.count(name) > 1}
        if double:
            raise ValueError(f'--classes or --background names {", ".join(sorted(double))} twice')

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, in the order of the ids."""
        return (*(name for _, name in self.classes), *([self.background] if self.background else []))


class Labels(Protocol):
    """Labels of a scene."""

    def read(self, window: Place) -> np.ndarray:
        """Class ids (H, W), uint8, of a window of the scene, 255 where there is none."""


class RasterLabels:
    """A raster of values on the grid of a scene.

    Args:
        source: The open file, of the scene's size.
        classes: See :class:`LabelSettings`.
    """

    def __init__(self, source: DatasetReader | WarpedVRT, classes: Sequence[tuple[Value, str]]) -> None:
        self.source = source
        self.values = {value: index for index, (value, _) in enumerate(classes)}

    def read(self, window: Place) -> np.ndarray:
        """See :class:`Labels`."""
        place = Window(window.left, window.top, window.width, window.height)
        try:
            values = self.source.read(1, window=place)
            # A warped raster marks by its alpha band what lies outside of the file.
            marked = self.source.read_masks(1, window=place) > 0
        except RasterioError as error:
            raise RasterError(f'its label is damaged at row {window.top}, column {window.left}: {error}') from error
        found, inverse = np.unique(values, return_inverse=True)
        table = np.array([self.values.get(_plain(value), IGNORED) for value in found], np.uint8)
        return np.where(marked, table[inverse.reshape(values.shape)], np.uint8(IGNORED))


class VectorLabels:
    """Polygons with an attribute; where they overlap, the last in the file counts.

    Args:
        frame: The polygons, in the scene's coordinate reference system, or in pixels where it has none.
        raster: The scene.
        settings: Attribute, classes and background.
    """

    def __init__(self, frame: 'GeoDataFrame', raster: Raster, settings: LabelSettings) -> None:
        ids = {value: index for index, (value, _) in enumerate(settings.classes)}
        values = [ids.get(_plain(value)) for value in frame[settings.attribute]]
        kept = np.array([value is not None for value in values], bool)
        self.geometry = frame.geometry[kept]
        self.ids = np.array([value for value in values if value is not None], int)
        self.transform = raster.transform
        self.fill = len(settings.classes) if settings.background else IGNORED

    def read(self, window: Place) -> np.ndarray:
        """See :class:`Labels`."""
        transform = self.transform @ self.transform.translation(window.left, window.top)
        corners = [transform @ point for point in ((0, 0), (window.width, 0), (window.width, window.height),
                                                   (0, window.height))]
        near = np.sort(self.geometry.sindex.query(shapely.Polygon(corners)))
        ids = np.full((window.height, window.width), self.fill, np.uint8)
        if len(near):
            rasterio.features.rasterize(zip(self.geometry.iloc[near], self.ids[near].tolist(), strict=True), out=ids,
                                        transform=transform)
        return ids


@contextlib.contextmanager
def open_labels(path: Path, raster: Raster, settings: LabelSettings) -> Iterator[Labels]:
    """Open the labels of a scene on its grid.

    A raster with another coordinate reference system, resolution or extent is resampled by nearest neighbor; where it
    does not reach, pixels are ignored.

    Args:
        path: File of the labels.
        raster: The open scene.
        settings: What they mean.

    Yields:
        The labels.

    Raises:
        RasterError: The file cannot be read or has no common place with the scene; the message gives the reason.
    """
    if is_vector(path):
        yield VectorLabels(_placed(read_polygons(path, settings.attribute), path, raster), raster, settings)
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        source = stack.enter_context(open_label_raster(path))
        if (source.height, source.width) != raster.size or source.crs is not None:
            _require_place(source.crs, path, raster, (source.height, source.width))
        same = source.crs == raster.crs and source.transform.almost_equals(raster.transform, 1e-9)
        if raster.crs is not None and source.crs is not None and not (
                same and (source.height, source.width) == raster.size):
            height, width = raster.size
            source = stack.enter_context(WarpedVRT(
                source, crs=raster.crs, transform=raster.transform, height=height, width=width,
                resampling=Resampling.nearest, add_alpha=True))
        yield RasterLabels(source, settings.classes)


def is_vector(path: Path) -> bool:
    """Whether a file holds polygons, by its name."""
    return path.suffix.lower() in VECTORS


@contextlib.contextmanager
def open_label_raster(path: Path) -> Iterator[DatasetReader]:
    """Open a raster of labels.

    Raises:
        RasterError: It cannot be read, or has several bands or other values than integers.
    """
    with contextlib.ExitStack() as stack:
        with _naming(path):
            source = stack.enter_context(open_file(path))
            if source.count != 1 or np.dtype(source.dtypes[0]).kind not in 'iuf':
                raise RasterError(f'it has {source.count} bands of {source.dtypes[0]}; a label has one band of numbers')
        yield source


def read_polygons(path: Path, attribute: str | None) -> 'GeoDataFrame':
    """Read polygons with their attribute.

    Raises:
        RasterError: The file cannot be read, has no such attribute, or geometries of another kind.
    """
    import geopandas

    with _naming(path):
        with path.open('rb') as file:
            start = file.read(64).removeprefix(b'\xef\xbb\xbf').lstrip()
        if not start.startswith(VECTORS[path.suffix.lower()]):
            raise RasterError(f'it is no {path.suffix} file')
        try:
            frame = (geopandas.read_parquet(path) if path.suffix.lower() == '.parquet' else
                     geopandas.read_file(path.resolve(), engine='pyogrio'))
        except Exception as error:  # of several libraries
            raise RasterError(f'it cannot be read ({type(error).__name__}: {error})') from error
        columns = [str(name) for name in frame.columns if name != frame.geometry.name]
        if attribute not in columns:
            raise RasterError(f'it has no attribute {attribute!r}; choose one with --attribute: '
                              f'{", ".join(columns) or "it has none"}')
        frame = frame[~(frame.geometry.is_empty | frame.geometry.isna())]
        others = sorted({*frame.geom_type} - {'Polygon', 'MultiPolygon'})
        if others:
            raise RasterError(f'it has geometries of the kind {", ".join(others)}; labels are polygons')
    return frame


def _placed(frame: 'GeoDataFrame', path: Path, raster: Raster) -> 'GeoDataFrame':
    """Polygons in the scene's coordinate reference system."""
    _require_place(frame.crs, path, raster)
    return frame if raster.crs is None else frame.to_crs(raster.crs)


def _require_place(crs: object, path: Path, raster: Raster, size: tuple[int, int] | None = None) -> None:
    """Refuse what cannot be laid on each other."""
    if (crs is None) == (raster.crs is None) and (crs is not None or size in (None, raster.size)):
        return
    if crs is not None and size == raster.size:
        return
    sizes = '' if size is None else f' of {size[1]} x {size[0]} px (the scene: {raster.size[1]} x {raster.size[0]})'
    names = ['has no' if system is None else 'has a' for system in (crs, raster.crs)]
    raise RasterError(f'its label {path}{sizes} {names[0]} coordinate reference system and the scene {names[1]}'
                      f'{" one" if crs is not None else ""}; both need one, or a raster of equal size')


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except RasterError as error:
        raise RasterError(f'its label {path}: {error}') from error
    except OSError as error:
        raise RasterError(f'its label {path} cannot be read: {error}') from error


def find_labels(images: Sequence[str], source: Path, settings: LabelSettings) -> dict[str, Path]:
    """The label of each scene.

    Args:
        images: Scenes, relative to ``source``; those that are the label of another one are no scenes.
        source: Their folder.
        settings: Where the labels are.

    Returns:
        Scene -> file of its labels.

    Raises:
        FileNotFoundError: The file or folder of labels is missing.
        ValueError: A scene has no label, or several.
    """
    place = Path(settings.path)
    if place.is_file():
        return {image: place for image in images if (source / image).resolve() != place.resolve()}
    if not place.is_dir():
        raise FileNotFoundError(f'--labels {place} does not exist')
    found: dict[str, list[Path]] = {}
    for image in images:
        stem = place / f'{os.path.splitext(image)[0]}{settings.suffix}'
        files = sorted(stem.parent.iterdir()) if stem.parent.is_dir() else []
        found[image] = [file for file in files if file.stem == stem.name and file.suffix.lower() in
                        (*SUFFIXES, *VECTORS) and file.resolve() != (source / image).resolve()]
    labels = {file.resolve() for files in found.values() for file in files}
    scenes = {image: files for image, files in found.items() if (source / image).resolve() not in labels}
    wrong = [image for image, files in scenes.items() if len(files) != 1]
    if wrong:
        files = scenes[wrong[0]]
        what = f'several labels ({", ".join(map(str, files))})' if files else 'no label'
        raise ValueError(f'{len(wrong)} of {len(scenes)} scenes have not one label: {wrong[0]} has {what}; labels are '
                         f'{place}/FOLDERS/NAME{settings.suffix}.* with one of {" ".join((*SUFFIXES, *VECTORS))}; '
                         '--label-suffix says what follows the name')
    return {image: files[0] for image, files in scenes.items()}


def distinct_values(paths: Sequence[Path], attribute: str | None) -> list[Value]:
    """Values that occur in labels, sorted, numbers first.

    Args:
        paths: The files.
        attribute: Of polygons.

    Raises:
        RasterError: A file cannot be read.
    """
    found: set[Value] = set()
    for path in sorted({*paths}):
        if is_vector(path):
            found |= {_plain(value) for value in read_polygons(path, attribute)[attribute].dropna().unique()}
            continue
        with open_label_raster(path) as source:
            for top in range(0, source.height, ROWS_AT_A_TIME):
                window = Window(0, top, source.width, min(ROWS_AT_A_TIME, source.height - top))
                values = source.read(1, window=window)[source.read_masks(1, window=window) > 0]
                found |= {_plain(value) for value in np.unique(values[np.isfinite(values)])}
                if len(found) > MAX_CLASSES + 1:
                    raise RasterError(f'its label {path} has more than {MAX_CLASSES} values; is it an image? '
                                      '--classes names those that are classes')
    return sorted(found - {IGNORED}, key=lambda value: (isinstance(value, str), value))


def _plain(value: object) -> Value | None:
    """A value as a whole number, where it is one, or as text; ``None`` where it is missing."""
    if value is None or value != value:  # NaN is not equal to itself
        return None
    if isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number.is_integer() else str(number)


def parse_classes(texts: Sequence[str]) -> tuple[tuple[Value, str], ...]:
    """What ``--classes`` says.

    Args:
        texts: ``VALUE`` or ``VALUE=NAME``, in the order of the ids.

    Raises:
        ValueError: A value occurs twice, or a part is empty.
    """
    pairs = [text.partition('=') for text in texts]
    if not all(value and (name or not sign) for value, sign, name in pairs):
        raise ValueError(f'--classes {" ".join(texts)}: give VALUE or VALUE=NAME for each class')
    classes = tuple((int(value) if value.lstrip('-').isdecimal() else value, name or value) for value, _, name in pairs)
    values = [value for value, _ in classes]
    double = {value for value in values if values.count(value) > 1}
    if double:
        raise ValueError(f'--classes names the value {", ".join(map(str, double))} twice')
    return classes

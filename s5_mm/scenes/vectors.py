"""Results as polygons in map coordinates: GeoPackage, GeoJSON or GeoParquet."""
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
import rasterio.features
import shapely
from affine import Affine
from rasterio.io import DatasetReader

from .detection import Detections
from .segmentation import SegmentedScene
from .sink import CACHE, NODATA

if TYPE_CHECKING:
    from geopandas import GeoDataFrame, GeoSeries

FORMATS = ('gpkg', 'geojson', 'parquet')
ROWS_AT_A_TIME = 512
EQUAL_AREA = 'EPSG:6933'


def class_polygons(found: SegmentedScene, classes: Sequence[str], min_area: float = 0,
                   simplify: float = 0) -> 'GeoDataFrame':
    """Polygons of equal class.

    Pixels of one class that touch by a side are one polygon, with holes where other classes or pixels without data are.

    Args:
        found: Rasters of a scene, with confidence.
        classes: Names of the classes.
        min_area: Smaller polygons are left out, in square meters, or pixels without a coordinate reference system.
        simplify: Tolerance of simplification in units of the map; borders stay shared, see
            :func:`shapely.coverage_simplify`. 0: borders follow the pixels.

    Returns:
        The columns ``class``, ``class_id``, ``confidence`` (mean of the pixels, in percent), ``area_m2`` (without
        a coordinate reference system ``area_px``) before simplification, and the geometry.
    """
    from geopandas import GeoDataFrame

    with rasterio.Env(GDAL_CACHEMAX=CACHE), rasterio.open(found.classes) as file, \
            rasterio.open(found.confidence) as confidence:
        transform, crs = file.transform, file.crs
        # GDAL reads a file line by line, and places the polygons itself.
        pairs = [(shapely.geometry.shape(geometry), int(value)) for geometry, value in
                 rasterio.features.shapes(rasterio.band(file, 1)) if value != NODATA]
        ids = np.array([value for _, value in pairs], dtype=int)
        pixels = shapely.transform(np.array([geometry for geometry, _ in pairs], dtype=object),
                                   lambda points: np.rint(_to_map(points, ~transform)))
        means = _means(pixels, confidence)
    frame = GeoDataFrame({'class': np.array([*classes], dtype=object)[ids], 'class_id': ids, 'confidence': means},
                         geometry=shapely.transform(pixels, lambda points: _to_map(points, transform)), crs=crs)
    area = _areas(frame.geometry)
    frame.insert(3, area.name, area)
    frame = frame[area >= min_area].reset_index(drop=True)
    if simplify and len(frame):
        frame.geometry = frame.geometry.simplify_coverage(simplify)
    return frame


def boxes(found: Detections, classes: Sequence[str]) -> 'GeoDataFrame':
    """Detections as polygons.

    Args:
        found: The detections.
        classes: Names of the classes.

    Returns:
        The columns ``class``, ``score`` and ``angle`` (direction of the longer side in degrees counterclockwise from
        the map's x axis, 0 ... 180), and the geometry.
    """
    from geopandas import GeoDataFrame

    corners = _to_map(found.polygons.reshape(-1, 2), found.transform).reshape(-1, 4, 2)
    sides = corners[:, 1:3] - corners[:, 0:2]
    longer = sides[np.arange(len(sides)), np.hypot(*np.moveaxis(sides, -1, 0)).argmax(axis=1)]
    angle = np.degrees(np.arctan2(longer[:, 1], longer[:, 0])) % 180
    return GeoDataFrame({'class': np.array([*classes], dtype=object)[found.labels], 'score': found.scores,
                         'angle': angle}, geometry=shapely.polygons(corners), crs=found.crs)


def write_vectors(frame: 'GeoDataFrame', path: Path) -> None:
    """Write polygons; the file is complete or absent.

    Args:
        frame: The polygons.
        path: ``.gpkg``, ``.geojson`` (in WGS 84, as RFC 7946 asks) or ``.parquet``.

    Raises:
        ValueError: The suffix is unknown, or there is no coordinate reference system for GeoJSON.
    """
    kind = path.suffix.removeprefix('.')
    check_format(kind, path, frame.crs is not None)
    # A folder, since GeoPackage has files beside it while it is written. A killed process may have left one.
    folder = path.with_name(f'{path.name}.part')
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        temporary = folder / path.name
        if kind == 'parquet':
            frame.to_parquet(temporary)
        elif kind == 'geojson':
            frame.to_crs('EPSG:4326').to_file(temporary, driver='GeoJSON', engine='pyogrio', RFC7946='YES')
        else:
            frame.to_file(temporary, driver='GPKG', engine='pyogrio', layer=path.stem)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_format(kind: str, scene: Path | str, has_crs: bool) -> None:
    """Check that polygons of a scene can be written in a format.

    Args:
        kind: The format.
        scene: For the message.
        has_crs: Whether the scene has a coordinate reference system.

    Raises:
        ValueError: The format is unknown, or needs a coordinate reference system.
    """
    if kind not in FORMATS:
        raise ValueError(f'the format of polygons is {kind!r}; choose from {", ".join(FORMATS)}.')
    if kind == 'geojson' and not has_crs:
        raise ValueError(f'{scene} has no coordinate reference system, which GeoJSON needs; choose gpkg or parquet, '
                         'whose coordinates are pixels then.')


def _to_map(points: np.ndarray, transform: Affine) -> np.ndarray:
    """Points (N, 2) in pixels as map coordinates."""
    a, b, c, d, e, f = transform[:6]
    return points @ np.array([[a, d], [b, e]]) + (c, f)


def _areas(geometry: 'GeoSeries') -> 'GeoSeries':
    """Areas in square meters, or in pixels without a coordinate reference system."""
    crs = geometry.crs
    if crs is None:
        return geometry.area.rename('area_px')
    if crs.is_geographic or crs.to_epsg() == 3857:
        # Degrees are no lengths, and web maps stretch the north and the south.
        return geometry.to_crs(EQUAL_AREA).area.rename('area_m2')
    return (geometry.area * crs.axis_info[0].unit_conversion_factor**2).rename('area_m2')


def _means(polygons: np.ndarray, confidence: DatasetReader) -> np.ndarray:
    """Mean confidence of the pixels of each polygon, given in pixels."""
    total, number = np.zeros(len(polygons) + 1), np.zeros(len(polygons) + 1)
    for values, ids in _numbered(polygons, confidence):
        total += np.bincount(ids, weights=values, minlength=len(total))
        number += np.bincount(ids, minlength=len(total))
    return total[1:] / np.maximum(number[1:], 1)


def _numbered(polygons: np.ndarray, confidence: DatasetReader) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Values of pixels and the numbers of their polygons, from 1, in strips of the scene."""
    bounds = shapely.bounds(polygons).reshape(-1, 4)
    for top in range(0, confidence.height, ROWS_AT_A_TIME):
        rows = min(ROWS_AT_A_TIME, confidence.height - top)
        values = confidence.read(1, window=((top, top + rows), (0, confidence.width)))
        inside = np.flatnonzero((bounds[:, 1] < top + rows) & (bounds[:, 3] > top))
        if len(inside):
            ids = rasterio.features.rasterize(
                zip(polygons[inside], (inside + 1).tolist(), strict=True), values.shape, dtype='int32',
                transform=Affine.translation(0, top))
            yield values.ravel(), ids.ravel()

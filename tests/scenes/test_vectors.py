"""Polygons of classes and of detections: areas, holes, shared borders, coordinates, formats."""
import json

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from scenes_drawn import CLASSES, PLACE

from s5_mm.scenes import Detections, SegmentedScene
from s5_mm.scenes.vectors import boxes, class_polygons, write_vectors

UTM = CRS.from_epsg(32633)


def rasters(folder, ids, confidence=None, **place):
    """Results of a scene; pixels of 2 m."""
    files = []
    for name, values in (('x.tif', ids), ('x_confidence.tif', np.full_like(ids, 80) if confidence is None else
                                          confidence)):
        with rasterio.open(folder / name, 'w', driver='GTiff', height=ids.shape[0], width=ids.shape[1], count=1,
                           dtype='uint8', nodata=255, **(place or PLACE)) as file:
            file.write(values.astype(np.uint8), 1)
        files.append(folder / name)
    return SegmentedScene(*files, None)


def blobs(height=700, width=60, seed=0):
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 3, (height // 10, width // 10)), np.ones((10, 10))).astype(np.uint8)


def test_areas_and_confidences_of_all_pixels(tmp_path):
    ids = blobs()
    ids[:15] = 255
    confidence = np.random.default_rng(1).integers(0, 101, ids.shape).astype(np.uint8)
    frame = class_polygons(rasters(tmp_path, ids, confidence), CLASSES)
    for index, name in enumerate(CLASSES):
        own = frame[frame['class'] == name]
        assert own.area_m2.sum() == (ids == index).sum() * 4
        mean = (own.confidence * own.area_m2).sum() / own.area_m2.sum()
        assert mean == pytest.approx(confidence[ids == index].mean())
    assert frame.crs.to_epsg() == 32633
    assert frame.is_valid.all()
    assert frame.total_bounds.tolist() == [500_000, 5_000_000 - 1400, 500_120, 5_000_000 - 30]


def test_holes(tmp_path):
    ids = np.zeros((40, 40), np.uint8)
    ids[10:20, 10:20] = 1
    ids[30:35, 5:9] = 255
    frame = class_polygons(rasters(tmp_path, ids), CLASSES)
    field = frame.geometry[frame['class'] == 'field'].item()
    assert len(field.interiors) == 2
    assert field.area == (1600 - 100 - 20) * 4
    assert frame.area_m2[frame['class'] == 'water'].item() == 400
    small = class_polygons(rasters(tmp_path, ids), CLASSES, min_area=401)
    assert small['class'].tolist() == ['field']
    assert len(small.geometry.item().interiors) == 2


def test_simplified_borders_stay_shared(tmp_path):
    rows, columns = np.mgrid[:60, :60]
    ids = ((columns + rows / 3) > 35).astype(np.uint8) + ((rows - columns / 4) > 30)
    found = rasters(tmp_path, ids)
    plain, simple = class_polygons(found, CLASSES), class_polygons(found, CLASSES, simplify=6)
    assert shapely.get_num_coordinates(simple.geometry).sum() < shapely.get_num_coordinates(plain.geometry).sum() / 3
    assert shapely.coverage_is_valid(simple.geometry.values)
    assert simple.union_all().area == pytest.approx(60 * 60 * 4)
    assert simple.area_m2.tolist() == plain.area_m2.tolist()


def test_areas_where_the_map_has_no_meters(tmp_path):
    """A pixel of 0.001 degrees at 60 degrees north: 111.4 m in latitude, 55.8 m in longitude, on WGS 84."""
    ids = np.zeros((10, 10), np.uint8)
    place = dict(crs='EPSG:4326', transform=Affine(0.001, 0, 10, 0, -0.001, 60))
    assert class_polygons(rasters(tmp_path, ids, **place), CLASSES).area_m2.item() == pytest.approx(
        100 * 111.42 * 55.80, rel=0.001)
    # 100 units of a web map there are 100 cos(60) = 50 m on a sphere, 50.13 m by 50.04 m on WGS 84.
    place = dict(crs='EPSG:3857', transform=Affine(100, 0, 1e6, 0, -100, 8_399_738))
    assert class_polygons(rasters(tmp_path, ids, **place), CLASSES).area_m2.item() == pytest.approx(
        100 * 50.13 * 50.04, rel=0.001)
    nowhere = class_polygons(rasters(tmp_path, ids, transform=Affine.identity()), CLASSES)
    assert nowhere.area_px.item() == 100
    assert nowhere.crs is None


def test_nothing_but_no_data(tmp_path):
    frame = class_polygons(rasters(tmp_path, np.full((9, 9), 255, np.uint8)), CLASSES, simplify=1)
    assert len(frame) == 0
    write_vectors(frame, tmp_path / 'x.gpkg')
    assert len(geopandas.read_file(tmp_path / 'x.gpkg')) == 0


@pytest.mark.parametrize('kind', ['gpkg', 'geojson', 'parquet'])
def test_formats(tmp_path, kind):
    frame = class_polygons(rasters(tmp_path, blobs(40)), CLASSES)
    path = tmp_path / f'x.{kind}'
    write_vectors(frame, path)
    read = geopandas.read_parquet(path) if kind == 'parquet' else geopandas.read_file(path)
    assert read['class'].tolist() == frame['class'].tolist()
    assert read.crs.to_epsg() == (4326 if kind == 'geojson' else 32633)
    back = read.to_crs(32633).geometry
    assert back.area.tolist() == pytest.approx(frame.area.tolist(), rel=0.01)
    assert np.allclose(back.total_bounds, frame.total_bounds, atol=0.1)
    if kind == 'geojson':
        assert 'crs' not in json.loads(path.read_text())
    assert {file.name for file in tmp_path.iterdir()} == {'x.tif', 'x_confidence.tif', path.name}


def test_formats_that_do_not_go(tmp_path):
    frame = boxes(Detections(np.zeros((0, 8)), np.zeros(0), np.zeros(0, int)), CLASSES)
    with pytest.raises(ValueError, match="format of polygons is 'shp'; choose from gpkg, geojson, parquet"):
        write_vectors(frame, tmp_path / 'x.shp')
    with pytest.raises(ValueError, match='x.geojson has no coordinate reference system, which GeoJSON needs'):
        write_vectors(frame, tmp_path / 'x.geojson')


def test_boxes_in_map_coordinates():
    """A box of 10 x 4 px along the columns, and one of 5 x 8 px turned by 45 degrees in the image."""
    turned = np.array([[0, 0], [5, 5], [-3, 13], [-8, 8]]) + 20.0
    found = Detections(np.array([[10, 20, 20, 20, 20, 24, 10, 24], turned.ravel()]), np.array([0.9, 0.5]),
                       np.array([2, 0]), UTM, PLACE['transform'])
    frame = boxes(found, CLASSES)
    assert frame['class'].tolist() == ['road & rail', 'field']
    assert frame.bounds.iloc[0].tolist() == [500_020, 4_999_952, 500_040, 4_999_960]
    # To the lower left of the image is to the lower left of the map: 45 degrees from the x axis.
    assert frame.angle.tolist() == pytest.approx([0, 45])
    assert frame.area.tolist() == pytest.approx([160, 4 * np.hypot(5, 5) * np.hypot(8, 8)])
    assert frame.crs.to_epsg() == 32633

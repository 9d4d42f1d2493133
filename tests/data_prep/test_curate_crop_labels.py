"""Scenes cut together with their labels: rasters and polygons, grids, split by area, lists and table."""
import json
import re

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from mmengine.registry import init_default_scope
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds
from scenes_drawn import PLACE, painted, write_scene

from data_prep import curate
from data_prep.curation.blocks import blocks
from s5_mm.registry import DATASETS

SIZE = 32
WEST, NORTH, PIXEL = 500_000, 5_000_000, 2
SQUARES = [(0, 0, 40, 64), (40, 0, 96, 64)]
"""Left, top, right, bottom in pixels."""


@pytest.fixture
def source(tmp_path):
    """A folder with a scene of 128 x 192 px, 16 bits and four bands, without data in its first 12 columns."""
    values, ids = painted(128, 192)
    values = np.concatenate([values, values[:1]]).astype(np.uint16) * 16
    values[:, :, :12] = 0
    (tmp_path / 'src').mkdir()
    write_scene(tmp_path / 'src/a.tif', values, nodata=0, descriptions=('blue', 'green', 'red', 'nir'))
    write_scene(tmp_path / 'labels.tif', ids[None].astype(np.uint8) * 10)
    return tmp_path / 'src'


@pytest.fixture
def cut(source, tmp_path):
    """Run the command."""
    def run(*options, labels='labels.tif', out='out'):
        curate.main(['crop', str(source), str(tmp_path / out), '--size', str(SIZE), '--labels', str(tmp_path / labels),
                     '--block', '64', '--min-side', '16', '--workers', '1', *options])
        return tmp_path / out
    return run


def label_of(out):
    """All label patches laid on the scene, 254 where there is none; and which pixels are for validation."""
    whole, val = np.full((128, 192), 254, np.uint8), np.zeros((128, 192), bool)
    for path in (out / 'ann_dir').rglob('*.tif'):
        top, left = map(int, path.stem.split('_')[-2:])
        place = slice(top, top + SIZE), slice(left, left + SIZE)
        with rasterio.open(path) as file:
            whole[place] = file.read(1)
        val[place] |= path.parent.name == 'val'
    return whole, val


def squares(path, crs='EPSG:32633', **columns):
    """Polygons of :data:`SQUARES`."""
    shapes = [shapely.box(WEST + a * PIXEL, NORTH - d * PIXEL, WEST + c * PIXEL, NORTH - b * PIXEL)
              for a, b, c, d in SQUARES]
    columns = columns or dict(kind=['wood', 'lake'])
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs='EPSG:32633').to_crs(crs)
    frame.to_parquet(path) if path.suffix == '.parquet' else frame.to_file(path)


def test_scene_and_label_make_a_dataset_that_trains(cut, capsys):
    out = cut('--classes', '0=field', '10=water', '20=road')
    whole, val = label_of(out)
    _, ids = painted(128, 192)
    ids[:, :12] = 255
    np.testing.assert_array_equal(whole, ids)
    assert val.sum() == 64 * 64  # a fifth of six blocks
    said = capsys.readouterr().out
    assert "metainfo=dict(classes=('field', 'water', 'road')), num_classes=3" in said
    assert 'value_range=(816, 4080)' in said
    init_default_scope('mmseg')
    pipeline = [dict(type='s5_mm.LoadGeoTIFF', bands=(3, 2, 1), value_range=(0, 4080)), dict(type='s5_mm.LoadLabels')]
    for split, number in (('train', 20), ('val', 4)):
        dataset = DATASETS.build(dict(
            type='s5_mm.SegDataset', data_root=str(out), ann_file=f'lists/{split}.txt', img_suffix='.tif',
            seg_map_suffix='.tif', metainfo=dict(classes=('field', 'water', 'road')), pipeline=pipeline,
            data_prefix=dict(img_path=f'img_dir/{split}', seg_map_path=f'ann_dir/{split}')))
        assert len(dataset) == number
        assert dataset[0]['img'].shape == (SIZE, SIZE, 3)
    frame = geopandas.read_parquet(out / 'patches.parquet')
    counts = frame[['pixels_field', 'pixels_water', 'pixels_road']].sum()
    assert counts.tolist() == [(ids == index).sum() for index in range(3)]
    train, held = (frame[frame['split'] == split].union_all() for split in ('train', 'val'))
    assert train.intersection(held).area == 0
    assert json.loads((out / 'dataset.json').read_text())['pixels']['val']['water'] == ((ids == 1) & val).sum()


def test_values_are_classes_in_their_order_unless_named(cut):
    out = cut()
    content = json.loads((out / 'dataset.json').read_text())
    assert (content['classes'], content['values']) == (['0', '10', '20'], [0, 10, 20])
    assert json.loads((out / 'crop.json').read_text())['labels']['classes'] == [[0, '0'], [10, '10'], [20, '20']]
    whole, _ = label_of(cut('--classes', '20', out='other'))
    assert np.unique(whole).tolist() == [0, 255] or np.unique(whole).tolist() == [0, 254, 255]


def test_a_label_of_half_the_resolution_and_extent(cut, tmp_path):
    """Each of its pixels is 2 x 2 of the scene's; it ends after 64 rows, and marks a column as without label."""
    ids = np.random.default_rng(1).integers(1, 4, (32, 96)).astype(np.int16)
    ids[:, 20] = -1
    write_scene(tmp_path / 'coarse.tif', ids[None], nodata=-1, transform=from_origin(WEST, NORTH, 4, 4))
    whole, _ = label_of(cut(labels='coarse.tif'))
    expected = np.kron(np.where(ids < 0, 255, ids - 1), np.ones((2, 2), int))
    expected[:, :12] = 255
    np.testing.assert_array_equal(whole[:64], expected)
    assert np.unique(whole[64:]).tolist() == [254]  # patches without any label are left out


def test_a_label_in_another_coordinate_reference_system(cut, tmp_path):
    west, south, east, north = transform_bounds('EPSG:32633', 'EPSG:4326', WEST, NORTH - 256, WEST + 384, NORTH)
    ids = np.ones((1, 400, 400), np.uint8)
    ids[:, :, 200:] = 2
    write_scene(tmp_path / 'degrees.tif', ids, crs='EPSG:4326',
                transform=from_origin(west, north, (east - west) / 400, (north - south) / 400))
    whole, _ = label_of(cut(labels='degrees.tif'))
    assert (whole[:, 12:90] == 0).all()
    assert (whole[:, 102:190] == 1).all()


@pytest.mark.parametrize(('name', 'crs'), [('a.gpkg', 'EPSG:32633'), ('a.geojson', 'EPSG:4326'),
                                           ('a.parquet', 'EPSG:3857')])
def test_polygons_are_burned_by_an_attribute(cut, tmp_path, name, crs):
    squares(tmp_path / name, crs)
    out = cut('--attribute', 'kind', labels=name)
    whole, _ = label_of(out)
    assert json.loads((out / 'dataset.json').read_text())['classes'] == ['lake', 'wood']
    assert (whole[:64, 12:40] == 1).all()
    assert (whole[:64, 40:96] == 0).all()
    assert (whole[:64, :12] == 255).all()
    assert {*np.unique(whole[64:]), *np.unique(whole[:, 96:])} <= {254}
    whole, _ = label_of(cut('--attribute', 'kind', '--classes', 'wood', '--background', 'rest', labels=name,
                            out='background'))
    assert (whole[:64, 12:40] == 0).all()
    assert (whole[:, 40:] == 1).all()


def test_polygons_by_number_some_without_value(cut, tmp_path):
    squares(tmp_path / 'a.gpkg', code=[7.0, np.nan])
    out = cut('--attribute', 'code', labels='a.gpkg')
    assert json.loads((out / 'dataset.json').read_text())['values'] == [7]
    assert np.unique(label_of(out)[0]).tolist() == [0, 254, 255]


def test_labels_in_the_folder_of_the_scenes(cut, source, tmp_path):
    (tmp_path / 'labels.tif').rename(source / 'a_label.tif')
    out = cut('--label-suffix', '_label', labels='src')
    assert {path.name for path in (out / 'records').iterdir()} == {'a.tif.json'}


def test_a_place_in_two_scenes_is_either_for_training_or_for_validation(cut, source):
    """The second scene shows the first's place, two rows of pixels further north."""
    values, _ = painted(128, 192, seed=3)
    write_scene(source / 'b.tif', values, transform=from_origin(WEST, NORTH + 4, 2, 2))
    out = cut()
    frame = geopandas.read_parquet(out / 'patches.parquet').set_index('path')
    listed = {split: [f'{split}/{name}.tif' for name in (out / f'lists/{split}.txt').read_text().split()]
              for split in ('train', 'val')}
    assert 0 < len(listed['train']) < (frame['split'] == 'train').sum()
    train, held = (frame.loc[listed[split]].union_all() for split in ('train', 'val'))
    assert train.intersection(held).area < 1e-2 * held.area


def test_blocks_depend_on_seed_and_name_and_cover_the_scene():
    found = blocks((130, 200), 64, 0.3, 0, 'a')
    assert sum(block.window.height * block.window.width for block in found) == 130 * 200
    assert [block.split for block in found].count('val') == 2
    assert found == blocks((130, 200), 64, 0.3, 0, 'a')
    assert len({str(blocks((130, 200), 64, 0.3, seed, 'a')) for seed in range(5)}) > 1
    assert [block.split for block in blocks((64, 128), 64, 0.01, 0, 'a')].count('val') == 1
    assert {block.split for block in blocks((640, 640), 64, 0, 0, 'a')} == {'train'}


@pytest.mark.parametrize(('options', 'message'), [
    (['--val', '1'], '--val is 1.0; it is a share'),
    (['--block', '16'], '--block is 16, smaller than a patch of 32 px'),
    (['--classes', '1=a', '1=b'], '--classes names the value 1 twice'),
    (['--classes', '1=a', '2=a'], '--classes or --background names a twice'),
    (['--bands', '1', '2', '3'], '--format tif keeps all bands and --bands chooses some'),
    (['--labels', 'missing'], '--labels missing does not exist')])
def test_errors(cut, options, message):
    with pytest.raises(SystemExit, match=re.escape(message)):
        cut(*options)


def test_labels_that_fit_no_scene(cut, source, tmp_path):
    squares(tmp_path / 'a.gpkg')
    with pytest.raises(SystemExit, match="it has no attribute 'name'; choose one with --attribute: kind"):
        cut('--attribute', 'name', labels='a.gpkg')
    (tmp_path / 'bad.gpkg').write_text('<OGRVRTDataSource/>')
    with pytest.raises(SystemExit, match=r'it is no \.gpkg file'):
        cut('--attribute', 'kind', labels='bad.gpkg')
    write_scene(tmp_path / 'plain.tif', np.ones((1, 9, 9), np.uint8), crs=None, transform=None)
    with pytest.raises(SystemExit, match=r'of 9 x 9 px \(the scene: 192 x 128\) has no coordinate reference system'):
        cut(labels='plain.tif', out='other')
    (tmp_path / 'folder').mkdir()
    with pytest.raises(SystemExit, match=r'1 of 1 scenes have not one label: a\.tif has no label'):
        cut(labels='folder')
    write_scene(tmp_path / 'image.tif', np.ones((3, 128, 192), np.uint8), **PLACE)
    with pytest.raises(SystemExit, match='it has 3 bands of uint8; a label has one band'):
        cut(labels='image.tif')
    assert not (tmp_path / 'out/crop.json').exists()

"""Random windows of whole scenes: exact pixels and labels, percentiles of the scene, what is read of the file."""
import numpy as np
import pytest
import rasterio
from scenes_drawn import write_scene

from s5_mm.datasets import ImageReadError, LoadGeoTIFF, LoadLabels, LoadWindow, SegDataset


@pytest.fixture
def scene(tmp_path):
    """A scene of 60 x 90 px and its labels; band 1 holds the row, band 2 the column, band 3 a constant."""
    rows, columns = np.mgrid[:60, :90]
    write_scene(tmp_path / 'a.tif', np.stack([rows, columns, rows * 0 + 7]).astype(np.uint16) + 1)
    write_scene(tmp_path / 'mask.tif', (rows // 20 + columns // 30)[None].astype(np.uint8))
    return dict(img_path=str(tmp_path / 'a.tif'), seg_map_path=str(tmp_path / 'mask.tif'), num_classes=5)


def load(scene, size=32, **options):
    return LoadWindow(size, **{'value_range': (1, 256), **options})(dict(scene))


def test_windows_are_pieces_of_scene_and_mask(scene):
    places = set()
    for _ in range(20):
        results = load(scene)
        columns, rows = results['img'][..., 1].astype(int), results['img'][..., 2].astype(int)
        top, left = rows[0, 0], columns[0, 0]
        places.add((top, left))
        np.testing.assert_array_equal(rows, np.mgrid[top:top + 32, :32][0])
        np.testing.assert_array_equal(results['gt_seg_map'], rows // 20 + columns // 30)
        assert results['img_shape'] == results['ori_shape'] == (32, 32)
        assert 0 <= top <= 28
        assert 0 <= left <= 58
    assert len(places) > 10
    assert results['seg_fields'] == ['gt_seg_map']


def test_the_same_seed_gives_the_same_window(scene):
    np.random.seed(3)
    first = load(scene)['img']
    np.random.seed(3)
    np.testing.assert_array_equal(first, load(scene)['img'])


def test_values_are_those_of_the_whole_image(scene):
    """Percentiles of the scene, not of the window; a scene smaller than the window is read whole."""
    whole = LoadLabels()(LoadGeoTIFF(percentiles=(2, 98))(dict(scene)))
    window = load(scene, 100, value_range=None, percentiles=(2, 98))
    np.testing.assert_array_equal(window['img'], whole['img'])
    np.testing.assert_array_equal(window['gt_seg_map'], whole['gt_seg_map'])
    part = load(scene, 16, value_range=None, percentiles=(2, 98))['img']
    assert any((part == whole['img'][top:top + 16, left:left + 16]).all() for top in range(45) for left in range(75))


def test_windows_with_labels_are_looked_for(scene, tmp_path):
    mask = np.full((1, 60, 90), 255, np.uint8)
    mask[:, :30, :30] = 1
    write_scene(tmp_path / 'mask.tif', mask)
    np.random.seed(0)
    shares = [(load(scene, 20, min_labeled=0.3, tries=200)['gt_seg_map'] == 1).mean() for _ in range(10)]
    assert min(shares) >= 0.3
    assert min((load(scene, 20)['gt_seg_map'] == 1).mean() for _ in range(10)) == 0


def test_pixels_without_data_are_ignored(scene, tmp_path):
    with rasterio.open(tmp_path / 'a.tif', 'r+') as file:
        file.nodata = 8  # of the constant band alone
    assert 'has_data' not in load(scene)
    values = np.full((3, 60, 90), 5, np.uint16)
    values[:, :, 45:] = 0
    write_scene(tmp_path / 'a.tif', values, nodata=0)
    results = load(scene, 100)
    assert (results['gt_seg_map'][:, 45:] == 255).all()
    assert results['has_data'].sum() == 60 * 45


def test_only_the_blocks_of_the_window_are_decoded(tmp_path):
    """The other blocks of the file are damaged."""
    path = tmp_path / 'a.tif'
    write_scene(path, np.random.default_rng(0).integers(1, 255, (3, 512, 512), dtype=np.uint8), tiled=True,
                blockxsize=256, blockysize=256, interleave='pixel')
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-150_000])
    with pytest.raises(ImageReadError):
        LoadGeoTIFF()(dict(img_path=str(path)))
    np.random.seed(0)
    loader = LoadWindow(16)
    loader._draw = lambda shape: rasterio.windows.Window(100, 50, 16, 16)
    assert loader(dict(img_path=str(path)))['img'].shape == (16, 16, 3)
    loader._draw = lambda shape: rasterio.windows.Window(400, 400, 16, 16)
    with pytest.raises(ImageReadError, match='a.tif'):
        loader(dict(img_path=str(path)))


def test_errors_name_the_file(scene, tmp_path):
    with pytest.raises(ImageReadError, match=r'band 4 is requested, the file has 3'):
        load(scene, bands=(1, 2, 4))
    with pytest.raises(ImageReadError, match='give `value_range` or `percentiles`'):
        load(scene, value_range=None)
    write_scene(tmp_path / 'mask.tif', np.zeros((1, 60, 80), np.uint8))
    with pytest.raises(ValueError, match='image and label mask differ in size'):
        load(scene)
    write_scene(tmp_path / 'mask.tif', np.full((1, 60, 90), 9, np.uint8))
    with pytest.raises(ValueError, match=r'mask\.tif holds the ids \[9\]; allowed are 0\.\.4'):
        load(scene)
    write_scene(tmp_path / 'mask.tif', np.zeros((3, 60, 90), np.uint8))
    with pytest.raises(ImageReadError, match='a label mask has one integer channel'):
        load(scene)
    (tmp_path / 'mask.tif').unlink()
    with pytest.raises(ImageReadError, match=r'mask\.tif'):
        load(scene)
    with pytest.raises(ValueError, match='min_labeled 2'):
        LoadWindow(32, min_labeled=2)


def test_a_dataset_of_scenes(scene, tmp_path):
    for folder, name in (('images', 'a.tif'), ('masks', 'mask.tif')):
        (tmp_path / 'data' / folder).mkdir(parents=True)
        (tmp_path / name).rename(tmp_path / 'data' / folder / 'a.tif')
    dataset = SegDataset(
        data_root=str(tmp_path / 'data'), img_suffix='.tif', seg_map_suffix='.tif',
        data_prefix=dict(img_path='images', seg_map_path='masks'), metainfo=dict(classes=('a', 'b', 'c', 'd', 'e')),
        pipeline=[dict(type='s5_mm.LoadWindow', size=16, value_range=(0, 99)), dict(type='PackSegInputs')])
    sample = dataset[0]
    assert sample['inputs'].shape == (3, 16, 16)
    assert sample['data_samples'].gt_sem_seg.data.shape == (1, 16, 16)

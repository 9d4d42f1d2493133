"""GeoTIFF reading: exact bands, stretches by hand, no-data, and errors that name the file."""
import warnings

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from s5_mm.datasets import ImageReadError, LoadGeoTIFF, SegDataset
from s5_mm.datasets.transforms.loading import read_size


def write(path, bands, **profile):
    """Bands (C, H, W) as a georeferenced file."""
    # A line of pixels is written twice, since images have two at least.
    bands = np.repeat(bands, 2, axis=1) if bands.shape[1] == 1 else bands
    count, height, width = bands.shape
    profile = {'driver': 'GTiff', 'crs': 'EPSG:32633', 'transform': from_origin(3e5, 5e6, 0.3, 0.3), **profile}
    with rasterio.open(path, 'w', count=count, height=height, width=width, dtype=bands.dtype, **profile) as file:
        file.write(bands)
    return str(path)


def load(path, **kwargs):
    return LoadGeoTIFF(**kwargs)({'img_path': str(path)})


@pytest.fixture
def deep(tmp_path):
    """Four bands of 16 bits, 2 x 3 pixels: band b holds 1000 b, 1000 b + 100, 1000 b + 200."""
    bands = np.array([[[1000 * b, 1000 * b + 100, 1000 * b + 200]] for b in (1, 2, 3, 4)], np.uint16)
    return write(tmp_path / 'deep.tif', bands)


def test_eight_bits_as_stored(tmp_path):
    path = write(tmp_path / 'a.tif', np.array([[[10, 1]], [[20, 2]], [[30, 3]]], np.uint8), compress='lzw')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        results = load(path)
    assert results['img'].tolist() == [[[30, 20, 10], [3, 2, 1]]] * 2
    assert results['img'].dtype == np.uint8
    assert results['img'].flags.c_contiguous
    assert results['img_shape'] == results['ori_shape'] == (2, 2)


def test_not_georeferenced_is_no_matter(tmp_path):
    path = write(tmp_path / 'a.tif', np.zeros((3, 2, 2), np.uint8), crs=None, transform=None)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert load(path)['img'].shape == (2, 2, 3)


def test_bands_are_chosen_in_order(deep):
    img = load(deep, bands=(4, 3, 2), value_range=(0, 5100))['img']  # 5100 / 255 = 20
    assert img[0, 0].tolist() == [100, 150, 200]
    assert load(deep, bands=(4, 1), value_range=(0, 5100))['img'][0, 0].tolist() == [200, 50]


def test_one_range_for_each_band(deep):
    img = load(deep, value_range=[(1000, 1510), (2000, 2255), (3100, 3150)])['img']
    # 0 100 200 of 510, of 255, and -100 0 100 of 50, which is clipped.
    assert img[0].tolist() == [[0, 0, 0], [0, 100, 50], [255, 200, 100]]


def test_percentiles_of_the_image(deep):
    img = load(deep, percentiles=(0, 50))['img']
    assert img[0].tolist() == [[0, 0, 0], [255, 255, 255], [255, 255, 255]]


def test_no_data_is_black_and_has_no_part_in_percentiles(tmp_path):
    bands = np.array([[[0, 500, 700]]] * 3, np.uint16)
    path = write(tmp_path / 'a.tif', bands, nodata=0)
    assert load(path, percentiles=(0, 100))['img'][0, :, 0].tolist() == [0, 0, 255]
    assert load(path, value_range=(-500, 775))['img'][0, :, 0].tolist() == [0, 200, 240]  # 1000 and 1200 of 1275


def test_float_and_nan(tmp_path):
    path = write(tmp_path / 'a.tif', np.array([[[0.1, np.nan, 0.4]]] * 3, np.float32))
    assert load(path, value_range=(0, 0.5))['img'][0, :, 0].tolist() == [51, 0, 204]
    assert load(path, percentiles=(0, 100))['img'][0, :, 0].tolist() == [0, 0, 255]


def has_data(path, **options):
    return load(path, **options).get('has_data')


def test_which_pixels_have_data(tmp_path):
    """No-data value in all bands, mask of the file, transparency, NaN in one band."""
    bands = np.array([[[0, 0, 7]], [[0, 5, 7]], [[0, 5, 7]]], np.uint8)
    assert has_data(write(tmp_path / 'value.tif', bands, nodata=0)).tolist() == [[False, True, True]] * 2
    # A band that is not read may have data alone.
    four = np.concatenate([bands, np.full((1, 1, 3), 9, np.uint8)])
    assert has_data(write(tmp_path / 'four.tif', four, nodata=0)).tolist() == [[False, True, True]] * 2
    assert has_data(write(tmp_path / 'plain.tif', bands)) is None
    assert has_data(write(tmp_path / 'full.tif', bands + 1, nodata=0)) is None
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write(tmp_path / 'mask.tif', bands)
        with rasterio.open(path, 'r+') as file:
            file.write_mask(np.array([[255, 255, 0]] * 2, np.uint8))
    assert has_data(path).tolist() == [[True, True, False]] * 2
    alpha = np.concatenate([bands, np.array([[[255, 0, 1]]], np.uint8)])
    path = write(tmp_path / 'alpha.tif', alpha, photometric='rgb', alpha='yes')
    assert has_data(path).tolist() == [[True, False, True]] * 2
    floats = bands.astype(np.float32)
    floats[1, :, 2] = np.nan
    path = write(tmp_path / 'nan.tif', floats)
    assert has_data(path, value_range=(0, 9)).tolist() == [[True, True, False]] * 2


@pytest.mark.parametrize('bands', [np.full((3, 2, 2), 7, np.uint16), np.zeros((3, 2, 2), np.float32)])
def test_even_images_have_no_contrast_to_stretch(tmp_path, bands):
    assert not load(write(tmp_path / 'a.tif', bands, nodata=0), percentiles=(2, 98))['img'].any()


@pytest.mark.parametrize(('kwargs', 'message'), [
    ({}, r'deep.tif: it has uint16 values; give `value_range` or `percentiles`'),
    ({'bands': (1, 2, 5)}, r'deep.tif: band 5 is requested, the file has 4; choose `bands` among 1..4')])
def test_what_the_file_does_not_give(deep, kwargs, message):
    with pytest.raises(ImageReadError, match=message):
        load(deep, **kwargs)


@pytest.mark.parametrize(('kwargs', 'message'), [
    ({'bands': (0, 1, 2)}, 'bands count from 1'), ({'bands': ()}, 'at least one'),
    ({'value_range': (5, 5)}, 'low < high'),
    ({'value_range': [(0, 1), (0, 1)]}, '2 pairs .* one for each of the 3 bands'),
    ({'percentiles': (2, 101)}, r'percentiles are 2 and 101; they must rise and lie within 0\.\.100'),
    ({'percentiles': (2, 98), 'value_range': (0, 1)}, 'both given; choose one')])
def test_impossible_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        LoadGeoTIFF(**kwargs)


@pytest.mark.parametrize('content', [b'', b'no image', b'II*\0half'])
def test_damaged_file(tmp_path, content):
    (tmp_path / 'bad.tif').write_bytes(content)
    with pytest.raises(ImageReadError, match='cannot read image .*bad.tif'):
        load(tmp_path / 'bad.tif')


def test_truncated_and_missing_file(tmp_path):
    path = write(tmp_path / 'a.tif', np.random.RandomState(0).randint(0, 256, (3, 64, 64), np.uint8), compress='lzw')
    content = (tmp_path / 'a.tif').read_bytes()
    (tmp_path / 'a.tif').write_bytes(content[:len(content) // 2])
    with pytest.raises(ImageReadError, match='cannot read image .*a.tif'):
        load(path)
    with pytest.raises(ImageReadError, match='gone.tif: FileNotFoundError'):
        load(tmp_path / 'gone.tif')


def test_other_drivers_are_not_asked(tmp_path):
    """A GDAL virtual raster may name any file or address; by its content or name it must not be opened as one."""
    inner = write(tmp_path / 'a.tif', np.zeros((1, 2, 2), np.uint8))
    text = ('<VRTDataset rasterXSize="2" rasterYSize="2"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
            f'<SourceFilename>{inner}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>')
    (tmp_path / 'b.tif').write_text(text)
    with rasterio.open(tmp_path / 'b.tif') as virtual:
        assert virtual.driver == 'VRT'
    with pytest.raises(ImageReadError, match='b.tif'):
        load(tmp_path / 'b.tif', bands=(1, 1, 1))
    with pytest.raises(ImageReadError, match='b.tif'):
        read_size(tmp_path / 'b.tif')


def test_size_and_data_set_of_many_bands(tmp_path):
    for folder in ('img', 'ann'):
        (tmp_path / folder).mkdir()
    path = write(tmp_path / 'img/a.tif', np.full((6, 3, 4), 100, np.uint16))
    assert read_size(path) == (3, 4)
    write(tmp_path / 'ann/a.tif', np.ones((1, 3, 4), np.uint8), compress='lzw')
    dataset = SegDataset(
        data_root=str(tmp_path), data_prefix={'img_path': 'img', 'seg_map_path': 'ann'}, img_suffix='.tif',
        seg_map_suffix='.tif', metainfo={'classes': ('a', 'b')}, pipeline=[
            {'type': 's5_mm.LoadGeoTIFF', 'bands': (6, 5, 4), 'value_range': (0, 255)}, {'type': 's5_mm.LoadLabels'}])
    assert dataset[0]['img'].max() == 100
    assert dataset[0]['gt_seg_map'].min() == 1

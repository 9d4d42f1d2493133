"""The stretch of more than 8 bits by hand, and the same pixels from both readers of files."""
import json

import numpy as np
import pytest
import rasterio

from s5_mm.datasets import LoadGeoTIFF
from s5_mm.radiometry import Stretch, has_data, to_eight_bits
from s5_mm.rasters import open_raster

HERE = np.ones((1, 4), bool)


def write(path, values, **profile):
    """Bands (C, H, W) as a GeoTIFF."""
    count, height, width = values.shape
    with rasterio.open(path, 'w', driver='GTiff', count=count, height=height, width=width, dtype=values.dtype,
                       photometric='RGB', **profile) as file:
        file.write(values)


def scene(height, width, seed=0):
    """Three bands of 16 bits with a black collar, one band of which holds single zeros inside the scene."""
    values = np.random.RandomState(seed).gamma(3, 400, (3, height, width)).astype(np.uint16) + 50
    values[:, :, :width // 4] = 0
    values[1, height // 2:, width // 2] = 0
    return values


def test_data_is_what_the_file_marks_and_no_black_collar():
    values = np.array([[[0, 0, 5, 5]], [[0, 7, 7, np.nan]]])
    assert has_data(values, HERE).tolist() == [[False, True, True, False]]
    assert has_data(values, np.array([[True, True, False, True]])).tolist() == [[False, True, False, False]]


def test_zero_in_one_band_alone_is_data():
    """Its other bands have part in the percentiles, and so has the zero."""
    values = np.array([[[0, 0, 100, 200]], [[0, 10, 20, 30]]], np.uint16)
    assert Stretch((0, 100)).percentile_ranges(values, HERE).tolist() == [[0, 200], [10, 30]]


def test_values_are_rounded_and_clipped():
    values = np.array([[[100, 1100, 2100, 9000]]], np.int16)
    assert to_eight_bits(values, np.array([[100, 2100]]), HERE).tolist() == [[[0, 128, 255, 255]]]
    marked = np.array([[True, False, True, True]])
    assert to_eight_bits(values, np.array([[-500, 2100]]), marked).tolist() == [[[59, 0, 255, 255]]]


def test_a_band_without_contrast_is_black_up_to_its_value():
    values = np.array([[[7, 8, 6, np.inf]]])
    assert to_eight_bits(values, np.array([[7, 7]]), HERE).tolist() == [[[0, 255, 0, 255]]]
    assert Stretch().percentile_ranges(np.zeros((2, 1, 4)), HERE).tolist() == [[0, 1], [0, 1]]


def test_a_range_for_all_bands_or_for_each():
    assert Stretch(value_range=(1, 3)).fixed_ranges(2).tolist() == [[1, 3], [1, 3]]
    assert Stretch(value_range=((1, 3), (2, 9))).fixed_ranges(2).tolist() == [[1, 3], [2, 9]]
    with pytest.raises(ValueError, match='the value range has 2 pairs .* one for each of the 3 bands'):
        Stretch(value_range=((1, 3), (2, 9))).fixed_ranges(3)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(percentiles=(98, 2)), r'percentiles are 98 and 2; they must rise and lie within 0\.\.100'),
    (dict(percentiles=(2, 101)), 'percentiles are 2 and 101'),
    (dict(value_range=(5, 5)), r'the value range is \(5, 5\); it must be \(low, high\) with low < high'),
    (dict(value_range=(1, 2, 3)), r'the value range is \(1, 2, 3\)')])
def test_impossible_numbers(options, message):
    with pytest.raises(ValueError, match=message):
        Stretch(**options)


@pytest.mark.parametrize('stretch', [
    Stretch(), Stretch((0, 99.5)), Stretch(value_range=(0, 3000)), Stretch(value_range=((0, 1), (2, 3)))])
def test_record_survives_json(stretch):
    assert Stretch.from_dict(json.loads(json.dumps(stretch.to_dict()))) == stretch


@pytest.mark.parametrize('options', [dict(percentiles=(2, 98)), dict(value_range=(100, 3000))])
@pytest.mark.parametrize(('size', 'profile'), [
    ((60, 90), {}), ((60, 90), dict(nodata=0)), ((60, 90), dict(nodata=300)), ((1500, 1100), {})])
def test_training_and_prediction_see_equal_pixels(tmp_path, options, size, profile):
    """Of images above 1024 px a side both take the percentiles of the same pixels."""
    write(tmp_path / 'a.tif', scene(*size), **profile)
    loaded = LoadGeoTIFF(**options)({'img_path': str(tmp_path / 'a.tif')})['img']
    with open_raster(tmp_path / 'a.tif', stretch=Stretch(**options)) as raster:
        pixels, _ = raster.read(0, 0, *size)
    assert np.array_equal(loaded[..., ::-1], pixels)
    assert pixels.std() > 30


def test_percentiles_by_hand(tmp_path):
    """Of the values 50 ... 149, twice, beside a collar of 300 pixels; 2 % and 98 % lie at 52 and 147 (rounded in)."""
    values = np.zeros((3, 2, 500), np.uint16)
    values[..., 300:] = np.repeat(np.arange(50, 150), 2)
    write(tmp_path / 'a.tif', values)
    low, high = np.percentile(np.repeat(np.arange(50, 150), 2), (2, 98))
    img = LoadGeoTIFF(percentiles=(2, 98))({'img_path': str(tmp_path / 'a.tif')})['img'][0, :, 0]
    assert (low, high) == (51.98, 147.02)
    assert img[:300].max() == 0
    assert img[400] == round((100 - 51.98) / (147.02 - 51.98) * 255)

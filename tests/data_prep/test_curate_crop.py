"""Cutting of big images: formats, bits, bands, missing data, resuming."""
import itertools
import json
import os
import re

import geopandas
import numpy as np
import pytest
import rasterio
from PIL import Image, ImageOps
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from data_prep import curate
from data_prep.curation import crop as module
from data_prep.curation.crop import CropSettings, crop
from s5_mm.radiometry import Stretch
from s5_mm.rasters import RasterError, open_raster

SMALL = CropSettings(size=32, stride=32, min_side=16)


@pytest.fixture
def source(tmp_path):
    (tmp_path / 'src').mkdir()
    return tmp_path / 'src'


def gradient(height, width, bands=3, top=255):
    """Band 1 rises with the row, band 2 with the column, the others are constant; nowhere 0 in all bands."""
    rows, columns = np.mgrid[:height, :width]
    planes = [rows % top, columns % top, *(np.full((height, width), 10 * (i + 1)) for i in range(2, bands))]
    return np.stack(planes[:bands])


def write_tiff(path, values, **profile):
    interpretations = profile.pop('colorinterp', None)
    with rasterio.open(path, 'w', driver='GTiff', count=len(values), height=values.shape[1], width=values.shape[2],
                       dtype=values.dtype, photometric=profile.pop('photometric', 'MINISBLACK'), **profile) as file:
        if interpretations:
            file.colorinterp = interpretations
        file.write(values)


def write_image(path, values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.moveaxis(values.astype(np.uint8), 0, -1)).save(path, **options)


def patches(out):
    return {str(path.relative_to(out / 'images')): np.asarray(Image.open(path))
            for path in sorted((out / 'images').rglob('*.*'))}


@pytest.mark.parametrize('suffix', ['png', 'tif', 'bmp'])
def test_patches_are_pieces_of_the_image(source, tmp_path, suffix):
    image = gradient(64, 70)
    write_image(source / 'region' / f'a.{suffix}', image)
    totals = crop(source, tmp_path / 'out', SMALL)
    assert totals == (1, 6, 0, [], ())
    found = patches(tmp_path / 'out')
    assert set(found) == {f'region/a_{top}_{left}.png' for top in (0, 32) for left in (0, 32, 38)}
    expected = np.moveaxis(image, 0, -1)
    np.testing.assert_array_equal(found['region/a_32_38.png'], expected[32:, 38:])


def test_jpeg_in_and_out(source, tmp_path):
    write_image(source / 'a.jpg', gradient(32, 64), quality=98)
    curate.main(['crop', str(source), str(tmp_path / 'out'), '--size', '32', '--min-side', '16', '--format', 'jpg',
                 '--workers', '2'])
    found = patches(tmp_path / 'out')
    assert set(found) == {'a_0_0.jpg', 'a_0_32.jpg'}
    difference = found['a_0_32.jpg'].astype(int) - np.moveaxis(gradient(32, 64), 0, -1)[:, 32:]
    assert np.abs(difference).mean() < 6


def test_transparency_is_missing_data(source, tmp_path):
    image = gradient(32, 96, bands=4)
    image[3] = 255
    image[3, :, 32:64] = 0
    image[3, :, 64:81] = 0  # 17 of 32 columns of the third patch
    write_image(source / 'a.png', image)
    assert crop(source, tmp_path / 'out', SMALL) == (1, 1, 2, [], ())
    np.testing.assert_array_equal(patches(tmp_path / 'out')['a_0_0.png'], np.moveaxis(image[:3], 0, -1)[:, :32])


def test_no_data_black_collars_and_plain_patches_are_left_out(source, tmp_path):
    image = gradient(32, 128, bands=3).astype(np.uint8)
    image[:, :, :32] = 77  # the file's no-data value
    image[:, :, 32:64] = 0  # a black collar
    image[:, :, 64:96] = 200  # one color
    write_tiff(source / 'a.tif', image, nodata=77, photometric='RGB')
    assert crop(source, tmp_path / 'out', SMALL) == (1, 1, 3, [], ())
    assert set(patches(tmp_path / 'out')) == {'a_0_96.png'}


def test_sixteen_bits_are_stretched_by_percentiles_of_pixels_with_data(tmp_path):
    values = np.zeros((3, 40, 100), np.uint16)
    values[:, :, 50:] = np.arange(1000, 3000).reshape(40, 50)  # 2 % ... 98 %: 1039.98 ... 2959.02
    write_tiff(tmp_path / 'a.tif', values, photometric='RGB')
    with open_raster(tmp_path / 'a.tif') as raster:
        pixels, data = raster.read(0, 0, 40, 100)
    assert pixels[0, 50].tolist() == [0, 0, 0]
    assert pixels[39, 99].tolist() == [255, 255, 255]
    assert pixels[20, 50].tolist() == [round((2000 - 1039.98) / (2959.02 - 1039.98) * 255)] * 3
    assert data[:, 50:].all()
    assert not data[:, :50].any()


def test_or_by_fixed_values(tmp_path):
    values = np.array([[[100, 1100, 2100, 9000]]], np.int16).repeat(3, axis=0)
    write_tiff(tmp_path / 'a.tif', values, photometric='RGB')
    with open_raster(tmp_path / 'a.tif', stretch=Stretch(value_range=(100, 2100))) as raster:
        assert raster.read(0, 0, 1, 4)[0][0, :, 0].tolist() == [0, 128, 255, 255]


def test_floats_that_are_no_numbers_are_missing_data(tmp_path):
    values = np.linspace(0.1, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    values[0, 0, 0] = np.nan
    write_tiff(tmp_path / 'a.tif', values)
    with open_raster(tmp_path / 'a.tif') as raster:
        pixels, data = raster.read(0, 0, 8, 8)
    assert data.sum() == 63
    assert pixels.shape == (8, 8, 3)
    assert pixels[7, 7].tolist() == [255, 255, 255]


def test_bands_are_chosen_or_known_by_name(tmp_path):
    values = gradient(8, 8, bands=5).astype(np.uint8)
    write_tiff(tmp_path / 'plain.tif', values)
    message = 'it has 5 bands and does not name red, green and blue; choose them with --bands, e.g. --bands 4'
    with pytest.raises(RasterError, match=message), open_raster(tmp_path / 'plain.tif'):
        pass
    with open_raster(tmp_path / 'plain.tif', bands=(4, 3, 2)) as raster:
        assert raster.read(0, 0, 8, 8)[0][2, 5].tolist() == [40, 30, 5]
    with pytest.raises(RasterError, match=r'it has the bands 1\.\.5, --bands asks for 6'), \
            open_raster(tmp_path / 'plain.tif', bands=(6, )):
        pass
    order = (ColorInterp.undefined, ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined)
    write_tiff(tmp_path / 'named.tif', values, colorinterp=order)
    with open_raster(tmp_path / 'named.tif') as raster:
        assert raster.read(0, 0, 8, 8)[0][2, 5].tolist() == [40, 30, 5]


def test_gray_and_palette_images_become_color(tmp_path):
    Image.fromarray(np.arange(1, 65, dtype=np.uint8).reshape(8, 8)).save(tmp_path / 'gray.png')
    with open_raster(tmp_path / 'gray.png') as raster:
        assert raster.read(1, 0, 2, 8)[0][0, 0].tolist() == [9, 9, 9]
    palette = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode='P')
    palette.putpalette([255, 0, 0, 0, 255, 0, 1, 2, 3])
    palette.save(tmp_path / 'palette.png')
    with open_raster(tmp_path / 'palette.png') as raster:
        pixels, data = raster.read(0, 0, 2, 2)
    assert pixels.tolist() == [[[255, 0, 0], [0, 255, 0]], [[1, 2, 3], [0, 255, 0]]]
    assert data.all()


def test_small_images_are_kept_whole_down_to_a_limit(source, tmp_path):
    write_image(source / 'a.png', gradient(20, 32))
    write_image(source / 'b.png', gradient(15, 32))
    totals = crop(source, tmp_path / 'out', SMALL, max_errors=0.5)
    assert [array.shape for array in patches(tmp_path / 'out').values()] == [(20, 32, 3)]
    assert totals.errors == [('b.png', 'it is 32 x 15 pixels, smaller than --min-side 16')]


def test_a_stopped_run_goes_on(source, tmp_path, monkeypatch):
    for name in ('a', 'b', 'c'):
        write_image(source / f'{name}.png', gradient(64, 64))
    whole = crop(source, tmp_path / 'whole', SMALL)
    cut = module.write_image
    left = itertools.count(6, -1)

    def stop(*arguments):
        if next(left) == 0:
            raise KeyboardInterrupt
        cut(*arguments)

    monkeypatch.setattr(module, 'write_image', stop)
    with pytest.raises(KeyboardInterrupt):
        crop(source, tmp_path / 'out', SMALL)
    written = []
    monkeypatch.setattr(module, 'write_image', lambda *arguments: (written.append(arguments[1].name), cut(*arguments)))
    assert crop(source, tmp_path / 'out', SMALL) == whole
    assert len(written) == 8  # all of b, of which two patches were there, and c
    again, straight = patches(tmp_path / 'out'), patches(tmp_path / 'whole')
    assert again.keys() == straight.keys()
    with pytest.raises(ValueError, match=r'was made with other settings \(size: 32 there, 48 now'):
        crop(source, tmp_path / 'out', CropSettings(size=48, stride=32, min_side=16))


def test_damaged_files_are_counted_and_tried_again(source, tmp_path):
    write_image(source / 'a.png', gradient(64, 64))
    write_image(source / 'b.png', np.random.default_rng(0).integers(1, 255, (3, 64, 64)))
    good = (source / 'b.png').read_bytes()
    (source / 'b.png').write_bytes(good[:4000])
    (source / 'c.tif').write_text('no image')
    with pytest.raises(SystemExit, match=r'2 of 3 images could not be cut, the limit is 1\.00% \(--max-errors\): '
                                         r'b\.png: it is damaged at row .*c\.tif: it is none of JPEG, PNG, GTiff, BMP'):
        curate.main(['crop', str(source), str(tmp_path / 'out'), '--size', '32', '--min-side', '16', '--workers', '1'])
    (source / 'b.png').write_bytes(good)
    (source / 'c.tif').unlink()
    assert crop(source, tmp_path / 'out', CropSettings(size=32, stride=32, min_side=16)) == (2, 8, 0, [], ())


def test_a_link_in_a_file_is_not_followed(source, tmp_path):
    write_tiff(tmp_path / 'secret.tif', gradient(32, 32).astype(np.uint8), photometric='RGB')
    (source / 'a.tif').write_text(
        '<VRTDataset rasterXSize="32" rasterYSize="32"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename>{tmp_path}/secret.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>')
    with pytest.raises(RasterError, match='it is none of JPEG, PNG, GTiff, BMP'), open_raster(source / 'a.tif'):
        pass


def test_output_inside_the_source_is_not_cut_again(source):
    write_image(source / 'a.png', gradient(32, 32))
    crop(source, source / 'out', SMALL)
    assert crop(source, source / 'out', SMALL).images == 1
    record = json.loads((source / 'out/records/a.png.json').read_text())
    assert record == dict(
        patches=[dict(path='a_0_0.png', split=None, window=[0, 0, 32, 32], valid=1.0)], empty=0, image='a.png',
        crs=None, transform=[1, 0, 0, 0, 1, 0], ranges=None)


def test_linked_folders_are_cut_once_and_rings_end(source, tmp_path):
    write_image(tmp_path / 'disk/b.png', gradient(32, 32))
    write_image(source / 'here/a.png', gradient(32, 32))
    (source / 'linked').symlink_to(tmp_path / 'disk')
    (source / 'linked_again').symlink_to(tmp_path / 'disk')
    (source / 'here/ring').symlink_to(source)
    assert crop(source, tmp_path / 'out', SMALL).images == 2
    assert set(patches(tmp_path / 'out')) == {'here/a_0_0.png', 'linked/b_0_0.png'}


def test_an_output_that_a_link_leads_to_is_not_cut_again(source, tmp_path):
    write_image(source / 'a.png', gradient(32, 32))
    crop(source, tmp_path / 'out', SMALL)
    (source / 'linked').symlink_to(tmp_path / 'out')
    assert crop(source, tmp_path / 'out', SMALL).images == 1


def test_gdal_keeps_a_line_of_patches_and_not_the_image(source):
    with rasterio.open(source / 'a.tif', 'w', driver='GTiff', width=30000, height=20000, count=3, dtype='uint8',
                       photometric='RGB', SPARSE_OK=True):
        pass
    with open_raster(source / 'a.tif', window=1024):
        assert rasterio.env.getenv()['GDAL_CACHEMAX'] == 1024 * 30000 * 3 * 5 // 4
    with open_raster(source / 'a.tif', window=32):
        assert rasterio.env.getenv()['GDAL_CACHEMAX'] == 64 << 20


@pytest.mark.parametrize(('options', 'message'), [
    (['--size', '8'], '--size is 8; it must be at least 32'),
    (['--bands', '1', '2'], '--bands names 2 bands; give three (red, green, blue) or one (gray)'),
    (['--percentiles', '98', '2'], 'percentiles are 98.0 and 2.0; they must rise'),
    (['--value-range', '5', '5'], 'the value range is (5.0, 5.0); it must be (low, high) with low < high'),
    (['--min-valid', '2'], '--min-valid is 2.0; it is a share, 0..1'),
    (['--quality', '0'], '--quality is 0; it must be 1..100'),
    (['--workers', '0'], '--workers is 0; it must be at least 1'),
    ([], 'found no image in')])
def test_errors(source, tmp_path, options, message):
    with pytest.raises(SystemExit, match=re.escape(f'curate crop: error: {message}')):
        curate.main(['crop', str(source), str(tmp_path / 'out'), *options])


def test_names_that_differ_in_the_suffix_alone(source, tmp_path):
    """As a scene and its quicklook."""
    for name in ('a.png', 'a.bmp', 'b.png'):
        write_image(source / name, gradient(32, 32))
    crop(source, tmp_path / 'out', SMALL)
    names = {path.stem.rsplit('_', 2)[0] for path in (tmp_path / 'out/images').glob('*.png')}
    assert names == {'a_png', 'a_bmp', 'b'}
    write_image(source / 'a_png.bmp', gradient(32, 32))
    with pytest.raises(ValueError, match=r'a\.png and a_png\.bmp would give patches of the same name'):
        crop(source, tmp_path / 'other', SMALL)


def test_names_that_are_not_utf8_are_left_out(source, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('s5_mm.datasets.unlabeled.print_log', lambda text, *_: said.append(text))
    write_image(source / 'a.png', gradient(32, 32))
    os.link(source / 'a.png', os.fsencode(source) + b'/caf\xe9.png')
    totals = crop(source, tmp_path / 'out', SMALL)
    assert totals.images == 1
    assert '1 images in' in said[0]
    assert r"b'caf\xe9.png'" in said[0]


@pytest.mark.parametrize('orientation', range(1, 9))
def test_photos_are_turned_as_pillow_turns_them(source, tmp_path, orientation):
    """A viewer shows them so; with a place on the map a raster stays as it is stored."""
    exif = Image.Exif()
    exif[274] = orientation
    pixels = np.stack([*np.meshgrid(np.arange(40) * 6, np.arange(24) * 10), np.full((24, 40), 90)], -1)
    Image.fromarray(pixels.astype(np.uint8)).save(source / 'photo.jpg', exif=exif, quality=95)
    with Image.open(source / 'photo.jpg') as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    with open_raster(source / 'photo.jpg') as raster:
        assert raster.size == expected.shape[:2]
        found, data = raster.read(0, 0, *raster.size)
    assert data.all()
    assert np.abs(found.astype(int) - expected).max() <= 6  # two decoders of JPEG


def test_the_remedy_of_bands_works_in_the_same_folder(source, tmp_path):
    write_tiff(source / 'a.tif', gradient(32, 32, bands=5).astype(np.uint8))
    command = ['crop', str(source), str(tmp_path / 'out'), '--size', '32', '--min-side', '16', '--workers', '1']
    with pytest.raises(SystemExit, match='choose them with --bands'):
        curate.main(command)
    curate.main([*command, '--bands', '4', '3', '2'])
    assert patches(tmp_path / 'out')['a_0_0.png'][3, 7].tolist() == [40, 30, 7]
    with pytest.raises(SystemExit, match='was made with other settings'):
        curate.main([*command, '--bands', '1', '2', '3'])


def test_geotiff_patches_keep_all_values_and_the_place(source, tmp_path):
    values = (gradient(64, 96, bands=4) * 100).astype(np.uint16)
    values[:, :8, :8] = 0  # a black collar
    write_tiff(source / 'a.tif', values, crs='EPSG:32633', transform=from_origin(500_000, 5_000_000, 2, 2))
    crop(source, tmp_path / 'out', CropSettings(size=32, stride=32, min_side=16, format='tif'))
    with rasterio.open(tmp_path / 'out/images/a_32_64.tif') as file:
        np.testing.assert_array_equal(file.read(), values[:, 32:, 64:])
        assert (file.crs, file.transform.c, file.transform.f, file.res) == ('EPSG:32633', 500_128, 4_999_936, (2, 2))
    with rasterio.open(tmp_path / 'out/images/a_0_0.tif') as file:
        assert not file.read_masks(1)[:8, :8].any()
        assert file.read_masks(1)[8:].all()
    frame = geopandas.read_parquet(tmp_path / 'out/patches.parquet')
    assert (frame.crs, len(frame), frame['path'].iloc[5]) == ('EPSG:32633', 6, 'a_32_64.tif')
    assert frame.geometry.iloc[5].bounds == (500_128, 4_999_872, 500_192, 4_999_936)
    with pytest.raises(ValueError, match='--format tif keeps all bands'):
        CropSettings(format='tif', bands=(1, 2, 3))

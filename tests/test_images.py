"""No file decides how much memory its image takes."""
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from data_prep.downloads import File, PreparationError, decode_color, decode_ids
from data_prep.isaid import find_sources
from data_prep.openearthmap import read_geotiff
from s5_mm.datasets import ImageReadError, LoadGeoTIFF, UnlabeledDataset
from s5_mm.datasets.transforms.loading import read_image, read_label_ids, read_size
from s5_mm.images import SETTING, max_pixels, open_image
from s5_mm.rasters import RasterError, open_raster


@pytest.fixture
def files(tmp_path):
    """Images of 30 x 20 pixels; a line of windows of the raster has 600, as all of it."""
    pixels = np.full((20, 30, 3), 7, np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'color.png')
    Image.fromarray(pixels[..., 0]).save(tmp_path / 'mask.png')
    shape = dict(height=20, width=30, count=3, dtype='uint8')
    with rasterio.open(tmp_path / 'bands.tif', 'w', driver='GTiff', **shape) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    (tmp_path / 'train/images').mkdir(parents=True)
    for name in ('P0', 'P0_instance_color_RGB'):
        Image.fromarray(pixels).save(tmp_path / f'train/images/{name}.png')
    return tmp_path


def line_of_windows(path):
    with open_raster(Path(path), window=64) as raster:
        return raster.read(0, 0, 20, 30)


DOORS = {
    'image': ('color.png', read_image, ImageReadError),
    'mask': ('mask.png', read_label_ids, ImageReadError),
    'size': ('color.png', read_size, ImageReadError),
    'GeoTIFF': ('bands.tif', lambda path: LoadGeoTIFF().transform(dict(img_path=path)), ImageReadError),
    'size of GeoTIFF': ('bands.tif', read_size, ImageReadError),
    'window': ('bands.tif', line_of_windows, RasterError),
    'download': ('color.png', lambda path: decode_color(File(Path(path))), PreparationError),
    'ids of a download': ('mask.png', lambda path: decode_ids(File(Path(path))), PreparationError),
    'GeoTIFF of a download': ('bands.tif', lambda path: read_geotiff(File(Path(path))), PreparationError),
    'iSAID': ('train/images/P0.png', lambda path: find_sources(Path(path).parents[2]), PreparationError),
}


@pytest.mark.parametrize('door', DOORS)
@pytest.mark.parametrize('limit', [599, 299])  # Pillow refuses by itself what has more than twice its limit
def test_limit_holds_at_every_door(files, monkeypatch, door, limit):
    name, read, error = DOORS[door]
    monkeypatch.setenv(SETTING, '600')
    read(str(files / name))
    monkeypatch.setenv(SETTING, str(limit))
    with pytest.raises(error, match=f'it claims .* allowed in memory at once; if the file can be trusted, .*{SETTING}'
                       ) as caught:
        read(str(files / name))
    if error is not RasterError:  # callers name the file
        assert name in str(caught.value)
    if limit == 599:
        assert '30 x 20 pixels, more than the 599 allowed in memory' in str(caught.value)
        assert f'set {SETTING}=600 in the environment' in str(caught.value)


def bomb(path, side):
    """A PNG of some hundred bytes that claims side x side gray pixels."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    header = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(bytes(100)))
                     + chunk(b'IEND', b''))
    return str(path)


def test_default_limit(tmp_path):
    """Pillow's own, 179 million pixels with a warning above 89, follows ours."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with open_image(bomb(tmp_path / 'a.png', 16384), 'a.png') as image:
            assert image.size == (16384, 16384)
    for side in (16385, 60000):
        with pytest.raises(ImageReadError, match=f'cannot read image .*b.png: it claims .*{SETTING}'):
            read_image(bomb(tmp_path / 'b.png', side))


@pytest.mark.parametrize('read', [read_image, LoadGeoTIFF().transform, line_of_windows])
def test_tile_of_a_small_image(tmp_path, monkeypatch, read):
    """A tile is in memory as a whole, whatever the size of the image."""
    path = str(tmp_path / 'tile.tif')
    with rasterio.open(path, 'w', driver='GTiff', height=20, width=30, count=3, dtype='uint8', tiled=True,
                       blockxsize=1024, blockysize=512) as file:
        file.write(np.full((3, 20, 30), 7, np.uint8))
    monkeypatch.setenv(SETTING, str(1 << 18))
    with pytest.raises((ImageReadError, RasterError), match='it claims 1024 x 512 pixels, more than the 262,144'):
        read(dict(img_path=path) if read not in (read_image, line_of_windows) else path)


def test_sparse_geotiff(tmp_path):
    """3.6 billion pixels in a small file; a line of windows of it is fine."""
    path = str(tmp_path / 'sparse.tif')
    rasterio.open(path, 'w', driver='GTiff', height=60000, width=60000, count=3, dtype='uint8', tiled=True,
                  blockxsize=4096, blockysize=4096, compress='deflate', SPARSE_OK=True).close()
    with pytest.raises(ImageReadError, match='sparse.tif: it claims 60000 x 60000 pixels'):
        LoadGeoTIFF().transform(dict(img_path=path))
    with pytest.raises(PreparationError, match='sparse.tif: it claims 60000 x 60000 pixels'):
        read_geotiff(File(Path(path)))
    with open_raster(Path(path)) as raster:
        assert raster.size == (60000, 60000)
    with pytest.raises(RasterError, match='it claims 60000 x 8000 pixels'), open_raster(Path(path), window=8000):
        pass


def test_pool_replaces_bombs(tmp_path):
    """They count as unreadable."""
    bomb(tmp_path / 'a.png', 60000)
    Image.new('RGB', (8, 8)).save(tmp_path / 'b.png')
    pool = UnlabeledDataset(str(tmp_path), pipeline=[dict(type='s5_mm.LoadImage')])
    np.random.seed(0)
    for index in range(2):
        assert pool[index]['img'].shape == (8, 8, 3)
    assert pool[0]['unreadable'][0].endswith('a.png')


@pytest.mark.parametrize('text', ['', '0', '-5', '1e9', 'many'])
def test_wrong_setting(monkeypatch, text):
    monkeypatch.setenv(SETTING, text)
    with pytest.raises(ValueError, match=f'{SETTING} is {text!r}; it is the number of pixels'):
        max_pixels()

"""Segmentation of scenes: georeference, missing data, bands, going on after a stop, structure of files, memory."""
import json
import os
import tracemalloc
import weakref
import zipfile
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import torch
from mmengine.config import Config
from PIL import Image
from running import ROOT
from scenes_drawn import CLASSES, PALETTE, PLACE, painted, read_raster, reader, write_scene

from s5_mm.locks import FolderInUseError, locked
from s5_mm.radiometry import Radiometry, Stretch, write_records
from s5_mm.rasters import RasterError
from s5_mm.registry import MODELS
from s5_mm.scenes import SegmentationSettings, find_scenes, load_model, results, segment, segmentation
from s5_mm.scenes.results import begun, identity
from s5_mm.scenes.segmentation import class_probabilities

SIXTEEN_BITS = Radiometry(('red', 'green', 'blue'), Stretch(value_range=(0, 2550)))


@pytest.fixture
def scene(tmp_path):
    """A scene of 16 bits with four bands in another order and a border without data; also the true ids."""
    values, ids = painted(150, 230)
    nir = np.full_like(values[:1], 77)
    values = np.concatenate([nir, values[::-1]]).astype(np.uint16) * 10
    values[:, :40] = values[:, :, -60:] = 9999
    path = write_scene(tmp_path / 'scene.tif', values, nodata=9999, descriptions=('NIR', 'Blue', 'Green', 'Red'))
    return path, ids


def test_a_map_with_its_place_and_its_classes(scene, tmp_path):
    path, ids = scene
    found = segment(reader(), path, tmp_path / 'out', SegmentationSettings(confidence=True, probabilities=True),
                    SIXTEEN_BITS, progress=False)
    with rasterio.open(found.classes) as file:
        classes = file.read(1)
        assert (file.crs, file.transform, file.nodata) == (PLACE['crs'], PLACE['transform'], 255)
        assert [file.colormap(1)[index][:3] for index in range(3)] == [*PALETTE]
        assert json.loads(file.tags()['CLASSES']) == [*CLASSES]
    names = ElementTree.parse(found.classes.with_name('scene.tif.aux.xml')).iter('Category')
    assert [name.text for name in names] == [*CLASSES]
    assert (classes[:40] == 255).all()
    assert (classes[:, -60:] == 255).all()
    assert np.array_equal(classes[40:, :-60], ids[40:, :-60])
    confidence = read_raster(found.confidence)
    with rasterio.open(found.probabilities) as file:
        probabilities = file.read()
        assert file.descriptions == CLASSES
    assert np.array_equal(confidence == 255, classes == 255)
    inner = (slice(40, None), slice(None, -60))
    assert np.array_equal(probabilities.max(axis=0)[inner], confidence[inner])
    assert np.abs(probabilities[(slice(None), *inner)].astype(int).sum(axis=0) - 100).max() <= 1
    assert {file.name for file in (tmp_path / 'out').iterdir()} == {
        'scene.tif', 'scene.tif.aux.xml', 'scene_confidence.tif', 'scene_probabilities.tif', 'scene.json'}


def test_windows_without_data_are_skipped(scene, tmp_path):
    model = reader(window=32)
    segment(model, scene[0], tmp_path / 'out', SegmentationSettings(overlap=0), SIXTEEN_BITS, progress=False)
    # Of 5 x 8 windows of 32 px, those in the rows 0-31 or from column 170 on are empty.
    assert len(model.network.seen) == 4 * 6


def test_a_stopped_run_goes_on_to_the_same_result(scene, tmp_path, monkeypatch):
    """Also where the scene is divided into two panels."""
    monkeypatch.setattr(segmentation, 'COLUMNS_AT_A_TIME', 1)
    settings = SegmentationSettings(window=32, overlap=16, batch_size=3, probabilities=True)
    whole = segment(reader(), scene[0], tmp_path / 'whole', settings, SIXTEEN_BITS, progress=False)
    predicted = 0
    for stop in (25, 40, None):
        model = reader(fails_after=stop)
        try:
            again = segment(model, scene[0], tmp_path / 'again', settings, SIXTEEN_BITS, progress=False)
        except KeyboardInterrupt:
            assert not (tmp_path / 'again/scene.tif').exists()
        predicted += len(model.network.seen)
    for one, other in zip((whole.classes, whole.probabilities), (again.classes, again.probabilities), strict=True):
        assert one.read_bytes() == other.read_bytes()
    # What had been finished was not predicted again, but for the line before and the one at work, of at most 8 windows.
    all_windows = reader()
    segment(all_windows, scene[0], tmp_path / 'third', settings, SIXTEEN_BITS, progress=False)
    assert len(all_windows.network.seen) <= predicted <= len(all_windows.network.seen) + 2 * 2 * 8
    segment(model := reader(fails_after=0), scene[0], tmp_path / 'again', settings, SIXTEEN_BITS, progress=False)
    assert not model.network.seen


def test_panels_do_not_show(scene, tmp_path, monkeypatch):
    settings = SegmentationSettings(window=32, overlap=12, confidence=True)
    whole = segment(reader(), scene[0], tmp_path / 'whole', settings, SIXTEEN_BITS, progress=False)
    monkeypatch.setattr(segmentation, 'COLUMNS_AT_A_TIME', 1)
    panels = segment(reader(), scene[0], tmp_path / 'panels', settings, SIXTEEN_BITS, progress=False)
    for one, other in zip(whole[:2], panels[:2], strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_results_of_other_settings_are_not_mixed(scene, tmp_path):
    segment(reader(), scene[0], tmp_path / 'out', radiometry=SIXTEEN_BITS, progress=False)
    with pytest.raises(ValueError, match=r'was made with other settings \(overlap: 32 there, 8 now\)'):
        segment(reader(), scene[0], tmp_path / 'out', SegmentationSettings(overlap=8), SIXTEEN_BITS, progress=False)


def test_confidence_and_probabilities_may_follow(scene, tmp_path):
    """Those of a stopped call without probabilities are no obstacle."""
    settings = SegmentationSettings(confidence=True, probabilities=True)
    expected = segment(reader(), scene[0], tmp_path / 'whole', settings, SIXTEEN_BITS, progress=False)
    with pytest.raises(KeyboardInterrupt):
        segment(reader(fails_after=12), scene[0], tmp_path / 'out', radiometry=SIXTEEN_BITS, progress=False)
    assert list((tmp_path / 'out/scene.parts').glob('*.npz'))
    for options in (dict(confidence=True), dict(probabilities=True, confidence=True)):
        found = segment(reader(), scene[0], tmp_path / 'out', SegmentationSettings(**options), SIXTEEN_BITS,
                        progress=False)
    for one, other in zip(found, expected, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_files_of_others_are_not_replaced(scene, tmp_path):
    before = scene[0].read_bytes()
    with pytest.raises(ValueError, match='scene.tif is there, and no scene.json .* choose another folder'):
        segment(reader(), scene[0], tmp_path, radiometry=SIXTEEN_BITS)
    assert scene[0].read_bytes() == before
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/scene.json').write_text('[1]')
    with pytest.raises(ValueError, match='scene.json .*move it away or choose another folder'):
        segment(reader(), scene[0], tmp_path / 'out', radiometry=SIXTEEN_BITS)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['scene.json']


def test_a_scene_that_has_changed_is_not_taken_for_the_old_one(scene, tmp_path, monkeypatch):
    segment(reader(), scene[0], tmp_path / 'out', radiometry=SIXTEEN_BITS, progress=False)
    monkeypatch.chdir(tmp_path)
    segment(reader(fails_after=0), 'scene.tif', 'out', radiometry=SIXTEEN_BITS, progress=False)
    os.utime(scene[0], (1, 1))
    with pytest.raises(ValueError, match=r'scene was made with other settings \(modified: .* there, .1970-'):
        segment(reader(), scene[0], tmp_path / 'out', radiometry=SIXTEEN_BITS)


def test_addresses_are_recorded_without_keys():
    assert identity('https://example.org/a.tif?signature=1') == dict(scene='https://example.org/a.tif', modified=None)


def test_one_process_predicts_a_scene(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(results, 'locked', partial(locked, patience=0))
    with begun(scene[0], tmp_path / 'out', {}), pytest.raises(FolderInUseError, match=r'process .* works in .*scene'), \
            begun(scene[0], tmp_path / 'out', {}):
        pass


def test_more_than_8_bits_need_the_values_of_training(scene, tmp_path):
    with pytest.raises(RasterError, match='it has uint16 values; give .*--value-range LOW HIGH, or --percentiles'):
        segment(reader(), scene[0], tmp_path / 'out')


def test_bands_by_number_and_name(scene, tmp_path):
    model = reader()
    for index, bands in enumerate(((4, 3, 2), ('RED', 3, 'blue'), None)):
        found = segment(model, scene[0], tmp_path / str(index), SegmentationSettings(),
                        Radiometry(bands, SIXTEEN_BITS.stretch), progress=False)
        assert np.array_equal(read_raster(found.classes)[40:, :-60], scene[1][40:, :-60])
    with pytest.raises(RasterError, match=r'bands 1\.\.4 \(nir, blue, green, red\), --bands asks for swir 1'):
        segment(model, scene[0], tmp_path / 'x', radiometry=Radiometry(('swir', 1), SIXTEEN_BITS.stretch))


def test_a_fourth_band_reaches_the_model(scene, tmp_path):
    model = reader()
    segment(model, scene[0], tmp_path / 'out', radiometry=Radiometry((4, 3, 2, 1), SIXTEEN_BITS.stretch),
            progress=False)
    image = model.network.seen[-1]
    assert image.shape == (4, 64, 64)
    assert image[3].max() == 77


@pytest.mark.parametrize(('suffix', 'place', 'black', 'empty'), [
    ('png', {}, None, False), ('tif', PLACE, None, True), ('tif', dict(PLACE, nodata=7), None, False),
    ('tif', PLACE, True, False), ('png', {}, False, True)])
def test_black_pixels(tmp_path, suffix, place, black, empty):
    """They are the collar of a scene that has a place and marks nothing, and pixels of any other image."""
    values, _ = painted(64, 80)
    values[:, :20] = 0
    path = tmp_path / f'scene.{suffix}'
    if suffix == 'png':
        Image.fromarray(values.transpose(1, 2, 0)).save(path)
    else:
        write_scene(path, values, photometric='rgb', **place)
    found = segment(reader(), path, tmp_path / 'out', SegmentationSettings(black=black), progress=False)
    classes = read_raster(found.classes)
    assert ((classes[:20] == 255).all() if empty else (classes != 255).all())
    assert (classes[20:] != 255).all()


def test_nan_and_alpha_are_no_data(tmp_path):
    values, _ = painted(64, 80)
    floats = values.astype(np.float32)
    floats[:, 30:40, 30:50] = np.nan
    alpha = np.full_like(values[:1], 255)
    alpha[0, 5:9] = 0
    for path, radiometry, empty in (
            (write_scene(tmp_path / 'nan.tif', floats), Radiometry(None, Stretch(value_range=(0, 255))), np.isnan(
                floats[0])),
            (write_scene(tmp_path / 'alpha.tif', np.concatenate([values, alpha]), photometric='rgb', alpha='yes'),
             Radiometry(), alpha[0] == 0)):
        found = segment(reader(), path, tmp_path / 'out', radiometry=radiometry, progress=False)
        assert np.array_equal(read_raster(found.classes) == 255, empty)


def test_a_scene_smaller_than_a_window(tmp_path):
    values, ids = painted(20, 37)
    path = write_scene(tmp_path / 'small.tif', values, photometric='rgb')
    found = segment(reader(), path, tmp_path / 'out', progress=False)
    assert np.array_equal(read_raster(found.classes), ids)


def test_files_are_cloud_optimized(tmp_path):
    """The rules of GDAL's validate_cloud_optimized_geotiff.py: tiles, overviews, directories first, small ones' tiles
    before large ones'.
    """
    values, _ = painted(600, 1300)
    path = write_scene(tmp_path / 'wide.tif', values, photometric='rgb')
    found = segment(reader(window=256), path, tmp_path / 'out', SegmentationSettings(overlap=0), progress=False)
    with rasterio.open(found.classes) as file:
        assert file.block_shapes == [(512, 512)]
        assert file.overviews(1) == [2, 4]
        levels = [None, 0, 1]
        directories = [int(file.get_tag_item('IFD_OFFSET', 'TIFF', bidx=1, ovr=level)) for level in levels]
        tiles = [int(file.get_tag_item('BLOCK_OFFSET_0_0', 'TIFF', bidx=1, ovr=level)) for level in levels]
        assert file.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        assert file.compression.value == 'DEFLATE'
    assert directories == sorted(directories)
    assert max(directories) < min(tiles)
    assert tiles == sorted(tiles, reverse=True)


def test_memory_does_not_depend_on_the_height(tmp_path):
    peaks = []
    for height in (1100, 8800):
        path = write_scene(tmp_path / f'{height}.tif', painted(height, 128)[0], photometric='rgb')
        model = reader(window=128)
        model.network.encode_decode = lambda inputs, metas: inputs
        tracemalloc.start()
        segment(model, path, tmp_path / 'out', SegmentationSettings(overlap=0, confidence=True, batch_size=2),
                progress=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # It varies by a fifth with the reader's progress; one value of each of the other pixels would be 1 MB on 0.6 MB.
    assert peaks[1] < 1.5 * peaks[0]


def test_flipped_windows_are_averaged():
    model = reader()
    # Logits that grow to the right, mirrored and averaged, are symmetrical.
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64) * torch.tensor([1., 2, 3])[:, None, None]
    model.network.encode_decode = lambda inputs, metas: ramp
    scores = class_probabilities(model, np.zeros((1, 3, 64, 64), np.uint8), SegmentationSettings(flip=True))
    assert torch.allclose(scores, scores.flip(-1))
    assert torch.allclose(scores[..., 0], (ramp.softmax(1)[..., 0] + ramp.softmax(1)[..., -1]) / 2)


def test_a_head_of_one_channel_has_two_classes():
    model = reader()
    model.network.encode_decode = lambda inputs, metas: torch.full((1, 1, 64, 64), 2.)
    with pytest.raises(ValueError, match='the model has 2 classes, the dataset 3'):
        class_probabilities(model, np.zeros((1, 3, 64, 64), np.uint8), SegmentationSettings())


@pytest.mark.parametrize(('options', 'message'), [
    (dict(batch_size=0), 'batch_size is 0; it must be at least 1'),
    (dict(window=0), 'window is 0; it must be at least 1 px'),
    (dict(window=60), 'the window is 60 px; the model takes multiples of 8')])
def test_impossible_settings(options, message):
    with pytest.raises(ValueError, match=message):
        SegmentationSettings(**options).completed(reader())


def test_scenes_by_folder_pattern_and_address(tmp_path):
    for name in ('b/2.tif', 'b/1.PNG', 'b/notes.txt', 'c/3.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    url = 'https://example.org/cog.tif?key=a/b.png'
    found = find_scenes([str(tmp_path / 'b'), str(tmp_path / 'c/*.jpg'), url, str(tmp_path / 'gone.tif')])
    assert found == [tmp_path / 'b/1.PNG', tmp_path / 'b/2.tif', tmp_path / 'c/3.jpg', url, tmp_path / 'gone.tif']
    with pytest.raises(FileNotFoundError, match='no file matches .*x\\*.tif'):
        find_scenes([str(tmp_path / 'x*.tif')])
    with pytest.raises(ValueError, match=r'2\.tif, .*2\.png: results are named after the scene'):
        find_scenes([tmp_path / 'b/2.tif', tmp_path / 'c/2.png'])


def test_paths_of_gdal(tmp_path):
    values, ids = painted(40, 50)
    scene = write_scene(tmp_path / 'scene.tif', values, photometric='rgb')
    text = f'<VRTDataset rasterXSize="50" rasterYSize="40"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>' \
           f'<SourceFilename>{scene}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    with zipfile.ZipFile(tmp_path / 'scenes.zip', 'w') as file:
        file.write(scene, 'scene.tif')
        file.writestr('names_others.tif', text)
    archive = f'/vsizip/{tmp_path}/scenes.zip'
    found = segment(reader(), f'{archive}/scene.tif', tmp_path / 'out', progress=False)
    assert np.array_equal(read_raster(found.classes), ids)
    with pytest.raises(RasterError, match='it cannot be read'):
        segment(reader(), f'{archive}/names_others.tif', tmp_path / 'out')


def test_a_vrt_is_opened_by_its_name_alone(tmp_path):
    values, ids = painted(40, 50)
    source = write_scene(tmp_path / 'source.tif', values, photometric='rgb')
    bands = ''.join(f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{color}</ColorInterp><SimpleSource>'
                    f'<SourceFilename>{source}</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>'
                    '</VRTRasterBand>' for band, color in enumerate(('Red', 'Green', 'Blue'), 1))
    text = f'<VRTDataset rasterXSize="50" rasterYSize="40">{bands}</VRTDataset>'
    for name in ('scene.vrt', 'scene_2.tif'):
        (tmp_path / name).write_text(text)
    found = segment(reader(), tmp_path / 'scene.vrt', tmp_path / 'out', progress=False)
    assert np.array_equal(read_raster(found.classes), ids)
    with pytest.raises(RasterError, match='it is none of JPEG'):
        segment(reader(), tmp_path / 'scene_2.tif', tmp_path / 'out')


@pytest.mark.parametrize('kind', ['supervised', 'fixmatch'])
def test_a_trained_config(tmp_path, kind):
    """A model of 96 px windows by its config and checkpoint, which tells the values of training."""
    config = ROOT / f'configs/quickstart/{kind}_vit-t_upernet_synthetic-96x96.py'
    torch.manual_seed(0)
    network = MODELS.build(Config.fromfile(config).model)
    record = write_records({'': SIXTEEN_BITS})
    torch.save(dict(state_dict=network.state_dict(), meta=dict(radiometry=record)), tmp_path / 'tiny.pth')
    model = load_model(config, tmp_path / 'tiny.pth', device='cpu')
    assert (len(model.classes), model.window, model.dataset) == (16, 96, None)
    assert model.radiometry == SIXTEEN_BITS
    values, _ = painted(96, 96)
    path = write_scene(tmp_path / 'scene.tif', values.astype(np.uint16) * 10, photometric='rgb')
    found = segment(model, path, tmp_path / 'out', progress=False)
    alone = class_probabilities(model, values[None, ::-1], SegmentationSettings())[0]
    assert np.array_equal(read_raster(found.classes), alone.argmax(0).numpy())


@pytest.mark.parametrize(('window', 'device', 'expected'), [
    (96, 'cpu', 4), (256, 'cpu', 4), (512, 'cpu', 1), (1024, 'cpu', 1), (512, 'meta', 4)])
def test_windows_in_a_forward_by_their_size(window, device, expected):
    """Any device that is no CPU stands for a GPU."""
    model = reader()
    model.network.weight = torch.nn.Parameter(torch.zeros(1, device=device))
    assert SegmentationSettings(window=window).completed(model).batch_size == expected
    assert SegmentationSettings(window=window, batch_size=3).completed(model).batch_size == 3


def test_no_batch_is_kept_while_the_next_is_computed(scene, tmp_path, monkeypatch):
    """Of all probabilities that the network gave, none is alive when it is asked again."""
    given, alive = [], []
    predict = segmentation.class_probabilities

    def watched(*arguments):
        alive.append(sum(reference() is not None for reference in given))
        # Parts of one tensor share its memory, and only tensors of their own tell whether somebody has them.
        found = [scores.clone() for scores in predict(*arguments)]
        given.extend(map(weakref.ref, found))
        return found

    monkeypatch.setattr(segmentation, 'class_probabilities', watched)
    settings = SegmentationSettings(window=32, overlap=16, batch_size=2)
    segment(reader(), scene[0], tmp_path / 'out', settings, SIXTEEN_BITS, progress=False)
    assert len(alive) > 10
    assert max(alive) == 0

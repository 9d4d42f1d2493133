"""tools/predict.py on scenes, with a tiny detector and a tiny segmentor of several datasets, of random weights."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from running import ROOT, free_port
from scenes_drawn import painted, write_scene

from s5_mm.apis import TilingConfig, detect, load_model
from s5_mm.rasters import RasterError
from s5_mm.registry import MODELS
from s5_mm.scenes import detection_files

DETECTOR = ROOT / 'configs/quickstart/moe-mdf_vit-t_oriented-rcnn_dior-dota-128x128.py'
SEGMENTOR = ROOT / 'configs/quickstart/moe-mdf_vit-t_upernet_landcover4-96x96.py'


def write_model(folder, config, **model):
    """Config and checkpoint."""
    path = folder / 'tiny.py'
    path.write_text(f'_base_ = [{str(config)!r}]\nmodel = dict(init_cfg=None, **{model})')
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), folder / 'tiny.pth')
    return str(path), str(folder / 'tiny.pth')


@pytest.fixture(scope='module')
def detector(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp('detector'), DETECTOR, test_cfg=dict(rpn=dict(max_per_img=20)))


@pytest.fixture(scope='module')
def segmentor(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp('segmentor'), SEGMENTOR)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'field.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (140, 200, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def predict(tmp_path, load_tool):
    """Run the tool on the CPU, with the output in ``out``."""
    def run(*arguments):
        load_tool('tools/predict.py').main([*map(str, arguments), '--device', 'cpu', '--out', str(tmp_path / 'out')])
        return tmp_path / 'out'
    return run


def test_objects_as_text_polygons_and_picture(detector, image, predict):
    settings = TilingConfig(size=128, overlap=32, score_thr=0.02)
    expected = detect(load_model(*detector, dataset='dota', device='cpu'), image, settings)
    assert len(expected.scores) > 0
    arguments = (*detector, image, '--dataset', 'dota', '--overlap', '32', '--score-thr', '0.02', '--vector', 'gpkg',
                 '--draw')
    out = predict(*arguments)
    lines = [line.split() for line in (out / 'field.txt').read_text().splitlines()]
    assert np.allclose([[float(number) for number in line[:8]] for line in lines], expected.polygons)
    assert [float(line[9]) for line in lines] == pytest.approx(expected.scores.tolist())
    frame = geopandas.read_file(out / 'field.gpkg')
    assert frame['class'].tolist() == [line[8] for line in lines]
    assert frame.crs is None
    with Image.open(out / 'drawn/field.png') as picture:
        assert picture.width == 200
        assert picture.height > 140
    assert {path.name for path in out.iterdir()} == {'field.txt', 'field.json', 'field.gpkg', 'drawn'}


def test_a_map_of_one_of_several_datasets(segmentor, tmp_path, predict):
    values, _ = painted(120, 150)
    values[:, :30] = 0
    scene = write_scene(tmp_path / 'town.tif', values, photometric='rgb', nodata=0)
    out = predict(*segmentor, scene, '--dataset', 'loveda', '--overlap', '24', '--vector', 'geojson', '--min-area',
                  '100', '--probabilities')
    with rasterio.open(out / 'town.tif') as file, rasterio.open(out / 'town_probabilities.tif') as probabilities:
        classes = file.read(1)
        assert probabilities.descriptions == ('background', 'building', 'road', 'water', 'barren', 'forest',
                                              'agricultural')
        shares = probabilities.read()[:, 30:]
        assert np.array_equal(np.take_along_axis(shares, classes[None, 30:], 0)[0], shares.max(axis=0))
    assert (classes[:30] == 255).all()
    frame = geopandas.read_file(out / 'town.geojson')
    assert set(frame['class']) <= set(probabilities.descriptions)
    assert frame.area_m2.min() >= 100


def test_a_dataset_must_be_chosen(detector, image, predict):
    with pytest.raises(ValueError, match='the dataset is None; the config has several, choose one of dior, dota'):
        predict(*detector, image)


def test_options_of_the_other_kind_are_refused(detector, segmentor, image, predict):
    with pytest.raises(ValueError, match='--min-area is an option of segmentation, and the model is a detector'):
        predict(*detector, image, '--dataset', 'dota', '--min-area', '3')
    with pytest.raises(ValueError, match='--score-thr is an option of detection, and the model is a segmentor'):
        predict(*segmentor, image, '--dataset', 'loveda', '--score-thr', '0')


def test_scenes_are_read_with_the_values_of_training(segmentor, tmp_path, predict):
    """The config reads OpenEarthMap by LoadGeoTIFF with 8 bits; 16 bits need a range."""
    scene = write_scene(tmp_path / 'town.tif', painted(96, 96)[0].astype(np.uint16) * 10, photometric='rgb')
    with pytest.raises(RasterError, match=r'town.tif: it has uint16 values; give .*--value-range LOW HIGH'):
        predict(*segmentor, scene, '--dataset', 'openearthmap')
    narrow = write_scene(tmp_path / 'narrow.tif', painted(96, 96)[0], photometric='rgb')
    predict(*segmentor, scene, narrow, '--dataset', 'openearthmap', '--value-range', '0', '2550', '--bands', '1', '2',
            '3')
    with rasterio.open(tmp_path / 'out/town.tif') as one, rasterio.open(tmp_path / 'out/narrow.tif') as other:
        assert np.array_equal(one.read(), other.read())


def test_finished_detections_are_read(detector, image, predict, tmp_path, load_tool, monkeypatch):
    arguments = (*detector, image, '--dataset', 'dota', '--score-thr', '0.02', '--vector', 'gpkg')
    out = predict(*arguments)
    first = geopandas.read_file(out / 'field.gpkg')
    (out / 'field.gpkg').unlink()
    monkeypatch.setattr(detection_files, 'detect', None)
    predict(*arguments)
    second = geopandas.read_file(out / 'field.gpkg')
    assert len(second) > 0
    assert second.equals(first)
    (out / 'field.txt').write_text('0 0 1 0 1 1 0 1 a house 0.5\n')
    with pytest.raises(ValueError, match="field.txt has the class 'a house', which the model does not know"):
        predict(*arguments)


def test_a_damaged_scene_does_not_stop_the_others(segmentor, tmp_path, predict):
    """Its header is whole, so the damage is only found on the way."""
    good = write_scene(tmp_path / 'b.tif', painted(96, 96)[0], photometric='rgb')
    bad = write_scene(tmp_path / 'a.tif', np.random.default_rng(0).integers(1, 255, (3, 400, 96), np.uint8),
                      photometric='rgb', compress='deflate', blockysize=16)
    content = bytearray(bad.read_bytes())
    content[-4000:] = bytes(4000)
    bad.write_bytes(content)
    with pytest.raises(RasterError, match=r'a.tif: it is damaged at row \d+'):
        predict(*segmentor, bad, good, '--dataset', 'loveda')
    assert (tmp_path / 'out/b.tif').exists()
    assert not (tmp_path / 'out/a.tif').exists()


def test_a_dataset_is_no_choice_for_a_model_of_one():
    config = ROOT / 'configs/quickstart/start_vit-t_upernet_synthetic-96x96.py'
    with pytest.raises(ValueError, match="the dataset is 'loveda', but the model and its config have one"):
        load_model(config, config.with_name('start.safetensors'), 'loveda', 'cpu')


@pytest.mark.parametrize(('error', 'message'), [
    (RasterError('a.tif: it is damaged'), 'predict: error: a.tif: it is damaged'),
    (KeyboardInterrupt(), 'predict: stopped; the same command goes on')])
def test_errors_are_one_line(load_tool, monkeypatch, error, message):
    tool = load_tool('tools/predict.py')

    def fail():
        raise error

    monkeypatch.setattr(tool, 'main', fail)
    with pytest.raises(SystemExit) as ended:
        tool.run()
    assert ended.value.code == message


def test_a_folder_that_cannot_be_made_is_told_at_once(image, load_tool):
    with pytest.raises(NotADirectoryError):
        load_tool('tools/predict.py').main(['no.py', 'no.pth', str(image), '--out', str(image / 'out')])


def test_weights_of_another_model_are_an_error(detector, tmp_path):
    torch.save(dict(state_dict=dict(weight=torch.zeros(3))), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='none under the names of the model'):
        load_model(detector[0], tmp_path / 'other.pth', 'dota', 'cpu')


def test_scenes_are_checked_before_the_model_loads(image, tmp_path, predict):
    (tmp_path / 'junk.png').write_text('junk')
    with pytest.raises(RasterError, match=r'junk.png: it is none of JPEG, .*; .*gone.tif: it cannot be read'):
        predict('no.py', 'no.pth', image, tmp_path / 'junk.png', tmp_path / 'gone.tif')
    with pytest.raises(ValueError, match='field.png has no coordinate reference system, which GeoJSON needs'):
        predict('no.py', 'no.pth', image, '--vector', 'geojson')


def shared(segmentor, scene, out, *more):
    """The tool in two processes of torchrun."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2', '--master_port', free_port(),
               ROOT / 'tools/predict.py', *segmentor, scene, '--dataset', 'potsdam', '--device', 'cpu', '--out', out,
               '--launcher', 'pytorch', *more]
    environment = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    return subprocess.Popen([*map(str, command)], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def test_two_processes_share_a_scene_and_go_on_after_a_kill(segmentor, tmp_path, predict):
    values, _ = painted(500, 420)
    scene = write_scene(tmp_path / 'scene.tif', values)
    process, parts = shared(segmentor, scene, tmp_path / 'shared'), tmp_path / 'shared/scene.parts'
    while process.poll() is None and len([*parts.glob('*.npz')]) < 3:
        time.sleep(0.02)
    assert process.poll() is None
    # torchrun gives each process a session of its own.
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    for number in (process.pid, *map(int, children)):
        os.kill(number, signal.SIGKILL)
    process.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in parts.glob('*.npz')}
    # Each process began with its own rows.
    assert {name > '000000-000004' for name in before} == {True, False}
    again = shared(segmentor, scene, tmp_path / 'shared', '--vector', 'gpkg')
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert said.count('polygons in') == 1
    out = predict(*segmentor, scene, '--dataset', 'potsdam', '--vector', 'gpkg')
    for name in ('scene.tif', 'scene_confidence.tif'):
        assert (tmp_path / 'shared' / name).read_bytes() == (out / name).read_bytes()
    assert {path.name for path in (tmp_path / 'shared').iterdir()} == {path.name for path in out.iterdir()}


def test_an_error_of_one_process_is_one_of_all(segmentor, tmp_path):
    """The scene is damaged in its last rows, which the second process reads."""
    values, _ = painted(500, 420)
    scene = write_scene(tmp_path / 'scene.tif', values, blockysize=16, compress='deflate')
    scene.write_bytes(scene.read_bytes()[:-400])
    process = shared(segmentor, scene, tmp_path / 'shared')
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert 'it is damaged at row' in said
    assert 'Traceback' not in said.partition('ChildFailedError')[0].partition('torch/distributed')[0]


def test_processes_do_not_share_detection(detector, image, load_tool):
    tool = load_tool('tools/predict.py')
    args = tool.parse_args([*detector, str(image), '--out', 'out', '--launcher', 'pytorch'])
    with pytest.raises(ValueError, match='--launcher pytorch divides maps, and the model is a detector'):
        tool.check_options(args, load_model(*detector, dataset='dota', device='cpu'))

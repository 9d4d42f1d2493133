"""tools/detect.py on an image file, with a tiny detector of random weights."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from running import ROOT

from s5_mm.apis import TilingConfig, detect, load_detector
from s5_mm.rasters import RasterError
from s5_mm.registry import MODELS

CONFIG = ROOT / 'configs/quickstart/moe-mdf_vit-t_oriented-rcnn_dior-dota-128x128.py'


@pytest.fixture(scope='module')
def detector(tmp_path_factory):
    """Config and checkpoint."""
    folder = tmp_path_factory.mktemp('detector')
    config = folder / 'tiny.py'
    few = dict(rpn=dict(max_per_img=20))
    config.write_text(f'_base_ = [{str(CONFIG)!r}]\nmodel = dict(init_cfg=None, test_cfg={few})')
    cfg = Config.fromfile(config)
    init_default_scope('mmrotate')
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), folder / 'tiny.pth')
    return str(config), str(folder / 'tiny.pth')


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'field.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (140, 200, 3), dtype=np.uint8)).save(path)
    return path


def test_objects_as_text_and_picture(detector, image, tmp_path, load_tool):
    settings = TilingConfig(size=128, overlap=32, score_thr=0.02)
    expected = detect(load_detector(Config.fromfile(detector[0]), detector[1], 'cpu'), image, 'dota', settings)
    assert len(expected.scores) > 0
    load_tool('tools/detect.py').main([
        *detector, str(image), '--dataset', 'dota', '--size', '128', '--overlap', '32', '--score-thr', '0.02',
        '--device',
        'cpu', '--draw', '--out', str(tmp_path / 'out')])
    lines = [line.split() for line in (tmp_path / 'out/field.txt').read_text().splitlines()]
    assert np.allclose([[float(number) for number in line[:8]] for line in lines], expected.polygons)
    assert [float(line[9]) for line in lines] == pytest.approx(expected.scores.tolist())
    with Image.open(tmp_path / 'out/drawn/field.png') as picture:
        assert picture.width == 200
        assert picture.height > 140
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'field.txt', 'drawn'}


def test_a_data_set_must_be_chosen(detector, image, tmp_path, load_tool):
    with pytest.raises(ValueError, match='the dataset is None; the config has several, choose one of dior, dota'):
        load_tool('tools/detect.py').main([*detector, str(image), '--out', str(tmp_path / 'out')])


def test_weights_of_another_model_are_an_error(detector, tmp_path):
    torch.save(dict(state_dict=dict(weight=torch.zeros(3))), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='none under the names of the model'):
        load_detector(Config.fromfile(detector[0]), str(tmp_path / 'other.pth'), 'cpu')


def test_images_are_checked_before_the_model_loads(image, tmp_path, load_tool):
    (tmp_path / 'junk.png').write_text('junk')
    with pytest.raises(RasterError, match=r'junk.png: it is none of JPEG, .*; .*gone.tif: it cannot be read'):
        load_tool('tools/detect.py').main([
            'no.py', 'no.pth', str(image), str(tmp_path / 'junk.png'), str(tmp_path / 'gone.tif'), '--out',
            str(tmp_path / 'out')])


def test_two_images_of_one_name_are_an_error(image, tmp_path, load_tool):
    with pytest.raises(ValueError, match=r'field.png, .*field.tif: results are named after the image'):
        load_tool('tools/detect.py').main([
            'no.py', 'no.pth', str(image), str(image.with_suffix('.tif')), '--out', str(tmp_path)])

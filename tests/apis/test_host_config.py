"""Functions and scripts of mmseg and mmdet with our configs."""
import importlib.util
import json
import sys
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.apis import MMSegInferencer, inference_model, init_model
from PIL import Image
from running import FIXMATCH, ROOT, SUPERVISED, command, forget_instances, write_config

from s5_mm.apis import host_config
from s5_mm.registry import DATASETS, MODELS

MULTI = ROOT / 'configs/quickstart/moe-mdf_vit-t_upernet_landcover4-96x96.py'
DETECTOR = ROOT / 'configs/quickstart/moe-mdf_vit-t_oriented-rcnn_dior-dota-128x128.py'
SCRIPTS = Path(mmseg.__file__).parent / '.mim/tools'


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'a.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)).save(path)
    return str(path)


def weights(folder, config, **options):
    """A checkpoint of random weights."""
    cfg = Config.fromfile(ROOT / config)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg.model, **options))
    meta = dict(dataset_meta=dict(classes=('a', 'b'), palette=[(0, 0, 0), (9, 9, 9)]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'model.pth')
    return str(folder / 'model.pth')


@pytest.mark.parametrize('config', [SUPERVISED, FIXMATCH])
def test_mmseg_loads_and_asks_our_models_as_they_are(tmp_path, image, config):
    options = dict(init_cfg=None)
    model = init_model(str(ROOT / config), weights(tmp_path, config, **options), device='cpu')
    assert inference_model(model, image).pred_sem_seg.data.shape == (1, 96, 128)
    assert len(inference_model(model, [image, image])) == 2
    pixels = np.ascontiguousarray(np.asarray(Image.open(image))[..., ::-1])
    by_name = inference_model(model, image).pred_sem_seg.data
    assert torch.equal(inference_model(model, pixels).pred_sem_seg.data, by_name)


def test_mmseg_with_a_model_of_several_datasets(tmp_path, image):
    file = weights(tmp_path, MULTI, init_cfg=None)
    cfg = host_config(MULTI, 'potsdam')
    model = init_model(cfg, file, device='cpu')
    found = inference_model(model, image)
    assert found.metainfo['dataset_name'] == 'potsdam'
    assert found.seg_logits.data.shape == (5, 96, 128)
    result = MMSegInferencer(host_config(MULTI, 'potsdam'), file, device='cpu', show_progress=False)(image)
    np.testing.assert_array_equal(result['predictions'], found.pred_sem_seg.data[0].numpy())


def test_mmdet_with_our_detector(tmp_path, image):
    file = weights(tmp_path, DETECTOR, init_cfg=None)
    model = init_detector(host_config(DETECTOR, 'dota'), file, device='cpu')
    assert inference_detector(model, image).pred_instances.bboxes.shape[1] == 5


def test_what_hosts_cannot_do_is_said():
    with pytest.raises(ValueError, match=r"the dataset is None; the config has several, choose one of .*potsdam"):
        host_config(MULTI)
    with pytest.raises(ValueError, match='images are loaded by s5_mm.LoadGeoTIFF.* predict by s5_mm.apis.segment'):
        host_config(MULTI, 'openearthmap')
    with pytest.raises(ValueError, match="the dataset is 'a', but the config has one"):
        host_config(ROOT / SUPERVISED, 'a')
    before = Config.fromfile(MULTI).pretty_text
    cfg = Config.fromfile(MULTI)
    host_config(cfg, 'potsdam')
    assert cfg.pretty_text == before


def run_script(name, monkeypatch, *arguments):
    """Run a script that comes with mmseg."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, SCRIPTS / name)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
    spec.loader.exec_module(module)
    forget_instances()
    module.main()


@pytest.mark.skipif(not SCRIPTS.is_dir(), reason='mmseg is installed without its scripts')
def test_scripts_of_mmseg(data, tmp_path, monkeypatch):
    monkeypatch.setenv('MPLBACKEND', 'agg')
    config = write_config(tmp_path / 'ours.py', SUPERVISED, data, 1, 0, {
        'test_dataloader.batch_size': 1, 'test_dataloader.persistent_workers': False})
    file = weights(tmp_path, SUPERVISED, init_cfg=None)
    host = tmp_path / 'host.py'
    command('tools/misc/host_config.py')([str(config), str(host)])
    run_script('test.py', monkeypatch, host, file, '--tta', '--work-dir', tmp_path / 'tta')
    scores = json.loads(next((tmp_path / 'tta').glob('*/*.json')).read_text())
    assert 0 <= scores['mIoU'] <= 100
    forget_instances()
    command('tools/test.py')([str(config), file, '--work-dir', str(tmp_path / 'w'), '--out', str(tmp_path / 'ids')])
    run_script('analysis_tools/confusion_matrix.py', monkeypatch, host, tmp_path / 'ids', tmp_path / 'matrix')
    assert (tmp_path / 'matrix/confusion_matrix.png').is_file()
    run_script('analysis_tools/browse_dataset.py', monkeypatch, config, '--not-show', '--show-interval', '0.001',
               '--output-dir', tmp_path / 'seen')
    assert [*(tmp_path / 'seen').glob('*.png')]


def test_datasets_of_a_config_know_their_classes_where_scripts_look(tmp_path):
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / folder / 'a.png')
    dataset = DATASETS.build(dict(
        type='s5_mm.SegDataset', data_root=str(tmp_path), data_prefix=dict(img_path='images', seg_map_path='masks'),
        img_suffix='.png', seg_map_suffix='.png', metainfo=dict(classes=('soil', 'crop')), pipeline=[]))
    assert dataset.METAINFO['classes'] == ('soil', 'crop')
    assert type(dataset).METAINFO == {}

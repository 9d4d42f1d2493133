"""Options of tools/test.py as changes of a config."""
import json
import math

import pytest
from mmengine.config import Config

from s5_mm.apis import select_datasets, write_json, write_predictions

IOU = dict(type='s5_mm.S5IoUMetric')


def several():
    loader = dict(dataset=dict(type='s5_mm.SegDataset'))
    return Config(dict(test_dataloader=dict(a=loader, b=loader, c=loader), test_evaluator=dict(a=IOU, b=[IOU], c=[])))


def one():
    return Config(dict(test_dataloader=dict(dataset=dict(type='s5_mm.SegDataset')), test_evaluator=IOU))


def test_some_of_several():
    cfg = several()
    select_datasets(cfg, ['c', 'a'])
    assert list(cfg.test_dataloader) == list(cfg.test_evaluator) == ['c', 'a']


def test_unknown_data_set():
    with pytest.raises(ValueError, match='--dataset d is none of the datasets in test_dataloader: a, b, c'):
        select_datasets(several(), ['a', 'd'])


def test_nothing_to_choose_from():
    with pytest.raises(ValueError, match='this config has one, leave the option out'):
        select_datasets(one(), ['a'])


def writers(evaluator):
    return [metric for metric in evaluator if metric['type'] == 's5_mm.LabelMapWriter']


def test_label_maps_of_several_go_to_a_folder_each():
    cfg = several()
    write_predictions(cfg, 'out')
    for name in 'abc':
        assert writers(cfg.test_evaluator[name]) == [dict(type='s5_mm.LabelMapWriter', output_dir=f'out/{name}')]
    assert cfg.test_evaluator.b[0] == IOU


def test_label_maps_of_one():
    cfg = one()
    write_predictions(cfg, 'out')
    assert cfg.test_evaluator == [IOU, dict(type='s5_mm.LabelMapWriter', output_dir='out')]


def test_a_zip_is_of_one_data_set():
    cfg = several()
    with pytest.raises(ValueError, match=r'--out x\.zip is one zip, but 3 datasets are tested; choose one of a, b, c'):
        write_predictions(cfg, 'x.zip')
    select_datasets(cfg, ['c'])
    write_predictions(cfg, 'x.zip')
    assert cfg.test_evaluator.c == [dict(type='s5_mm.LabelMapWriter', zip_file='x.zip')]


def test_detections_are_written_by_their_metric():
    cfg = several()
    dota = dict(type='s5_mm.DOTAMetric', ann_dir='x')
    cfg.test_evaluator.update(a=dict(type='s5_mm.RotatedMAP'), b=[dota])
    write_predictions(cfg, 'out')
    files = dict(zip_file='out/a/detections.zip', out_file='out/a/detections.npz')
    assert cfg.test_evaluator.a == [dict(type='s5_mm.RotatedMAP', **files)]
    assert cfg.test_evaluator.b[0].zip_file == 'out/b/detections.zip'
    assert cfg.test_evaluator.c[0].type == 's5_mm.LabelMapWriter'
    select_datasets(cfg, ['b'])
    write_predictions(cfg, 'x.zip')
    assert cfg.test_evaluator.b[0].zip_file == 'x.zip'


def test_undefined_values_are_null_in_json(tmp_path):
    path = tmp_path / 'new' / 'm.json'
    write_json({'a/mIoU': 50.0, 'a/IoU.ship': math.nan}, str(path))
    assert json.loads(path.read_text()) == {'a/mIoU': 50.0, 'a/IoU.ship': None}
    assert [entry.name for entry in path.parent.iterdir()] == ['m.json']


def test_one_of_several_processes_writes_the_metrics(tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda *_: 1)
    write_json({'mIoU': 50.0}, str(tmp_path / 'm.json'))
    assert not list(tmp_path.iterdir())

"""Loops over several datasets, on a network that reads the class off the picture."""
import math
from types import SimpleNamespace

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer
from mmseg.visualization import SegLocalVisualizer
from PIL import Image

from s5_mm.engine.hooks.multi_dataset_visualization_hook import picture
from s5_mm.engine.loops.longest_epoch import epoch_length
from s5_mm.engine.loops.multi_dataset import _means
from s5_mm.registry import HOOKS, MODELS

PALETTES = dict(fields=[[200, 0, 0], [0, 200, 0]], towns=[[0, 0, 200], [200, 200, 0], [0, 200, 200]])
CLASSES = dict(fields=('soil', 'crop'), towns=('road', 'house', 'tree'))
SIZES = dict(fields=5, towns=3)


@MODELS.register_module()
class RedChannelModel(BaseModel):
    """Predicts the class that the red channel holds."""

    def __init__(self, names, data_preprocessor, numbers=None):
        super().__init__(data_preprocessor=data_preprocessor)
        self.datasets = dict.fromkeys(names)
        self.settings = {name: SimpleNamespace(num_classes=number) for name, number in (numbers or {}).items()}
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs, data_samples, mode):
        if mode == 'loss':
            return dict(loss=(self.weight * inputs).mean())
        for image, sample in zip(inputs, data_samples, strict=True):
            sample.pred_sem_seg = PixelData(data=image[:1].round().long())
        return data_samples


@HOOKS.register_module()
class CallCounter(Hook):
    """Notes which hooks are called, in which dataset."""

    calls = []

    def before_val_epoch(self, runner):
        self.calls.append('before_val_epoch')

    def after_val_iter(self, runner, batch_idx, data_batch, outputs):
        self.calls.append((batch_idx, outputs[0].dataset_name))

    def after_val_epoch(self, runner, metrics):
        self.calls.append('after_val_epoch')


def paint(root, name, split, wrong):
    """Images whose red channel is the class; ``wrong`` pixels of the first image say class 0 on class 1."""
    for kind in ('img', 'ann'):
        (root / name / kind / split).mkdir(parents=True)
    for i in range(SIZES[name]):
        ids = np.full((4, 6), i % len(CLASSES[name]), np.uint8)
        ids[0] = 1
        image = np.zeros((4, 6, 3), np.uint8)
        image[..., 0] = ids
        if i == 0:
            image[0, :wrong, 0] = 0
        Image.fromarray(image).save(root / name / 'img' / split / f'{i}.png')
        Image.fromarray(ids).save(root / name / 'ann' / split / f'{i}.png')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('loops')
    for name, wrong in dict(fields=2, towns=3).items():
        paint(root, name, 'all', wrong)
    return root


def dataset(data, name, **kwargs):
    return dict(
        type='s5_mm.SegDataset', data_root=str(data / name), img_suffix='.png', seg_map_suffix='.png',
        data_prefix=dict(img_path='img/all', seg_map_path='ann/all'),
        metainfo=dict(classes=CLASSES[name], palette=PALETTES[name]),
        pipeline=[dict(type='s5_mm.LoadImage'), dict(type='s5_mm.LoadLabels'), dict(type='PackSegInputs')], **kwargs)


def loader(data, name):
    return dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dataset(data, name, test_mode=True))


@pytest.fixture
def config(data, tmp_path):
    for kind in (Visualizer, SegLocalVisualizer, MMLogger, MessageHub):
        kind._instance_dict.clear()
    CallCounter.calls.clear()
    evaluator = [dict(type='s5_mm.S5IoUMetric', iou_metrics=['mIoU', 'mFscore'])]
    return Config(dict(
        default_scope='mmseg',
        model=dict(type='s5_mm.RedChannelModel', names=['fields', 'towns', 'sea'],
                   data_preprocessor=dict(type='SegDataPreProcessor', bgr_to_rgb=True, size=(4, 6))),
        work_dir=str(tmp_path / 'run'),
        train_dataloader=dict(
            batch_size=5, num_workers=0,
            sampler=dict(type='s5_mm.MultiSourceSampler', per_batch=dict(fields=2, towns=3)),
            dataset=dict(type='s5_mm.MultiSourceDataset',
                         sources={name: dataset(data, name) for name in CLASSES})),
        train_cfg=dict(type='s5_mm.LongestEpochTrainLoop', max_epochs=4, val_interval=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=False, eta_min=0)],
        val_dataloader={name: loader(data, name) for name in CLASSES},
        test_dataloader={name: loader(data, name) for name in CLASSES},
        val_evaluator=dict.fromkeys(CLASSES, evaluator),
        test_evaluator=dict.fromkeys(CLASSES, evaluator),
        val_cfg=dict(type='s5_mm.MultiDatasetValLoop'),
        test_cfg=dict(type='s5_mm.MultiDatasetTestLoop'),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1),
                           checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=100,
                                           save_best='mean/mIoU', rule='greater')),
        log_processor=dict(by_epoch=False),
        visualizer=dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], alpha=1.0,
                        save_dir=str(tmp_path / 'drawn'))))


def iou(hit, missed, false):
    return round(100 * hit / (hit + missed + false), 2)


def test_metrics_of_each_data_set_and_their_means(config):
    values = Runner.from_cfg(config).test()
    # fields: images of 24 px with classes 0 1 0 1 0, whose first row (6 px) is 1; 2 px of it were painted as 0.
    fields = iou(3 * 18, 0, 2), iou(3 * 6 + 2 * 24 - 2, 2, 0)
    # towns: classes 0 1 2, first row 1, 3 px of it painted as 0.
    towns = iou(18, 0, 3), iou(6 + 24 + 6 - 3, 3, 0), 100
    assert [values[f'fields/IoU.{name}'] for name in CLASSES['fields']] == list(fields)
    assert [values[f'towns/IoU.{name}'] for name in CLASSES['towns']] == list(towns)
    assert values['fields/mIoU'] == pytest.approx(sum(fields) / 2, abs=0.01)
    assert values['towns/mIoU'] == pytest.approx(sum(towns) / 3, abs=0.01)
    assert values['mean/mIoU'] == pytest.approx((values['fields/mIoU'] + values['towns/mIoU']) / 2, abs=0.01)
    assert {'mean/aAcc', 'mean/mAcc', 'mean/mFscore'} <= set(values)
    assert 'mean/IoU.soil' not in values
    assert not any('Precision.' in key for key in values)


def test_a_table_compares_the_data_sets(config, monkeypatch):
    lines = []
    monkeypatch.setattr('s5_mm.engine.loops.multi_dataset.print_log', lambda text, *args: lines.append(text))
    values = Runner.from_cfg(config).test()
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines[-1].splitlines() if '|' in line]
    assert [row[0] for row in rows] == ['dataset', 'fields', 'towns', 'mean']
    assert rows[0][1:] == ['aAcc', 'mAcc', 'mFscore', 'mIoU', 'mPrecision', 'mRecall']
    assert [float(row[4]) for row in rows[1:]] == [values[f'{name}/mIoU'] for name in ('fields', 'towns', 'mean')]


def test_one_undefined_value_leaves_the_mean_defined():
    metrics = dict(a=dict(x=1.0, y=math.nan, z=math.nan), b=dict(x=2.0, y=3.0, z=math.nan, only=4.0))
    assert _means(metrics) == dict(x=1.5, y=3.0)


def test_hooks_are_called_as_in_a_loop_over_one_data_set(config):
    config.custom_hooks = [dict(type='s5_mm.CallCounter')]
    config.default_hooks.checkpoint = None
    Runner.from_cfg(config).val()
    batches = [(0, 'fields'), (1, 'fields'), (2, 'fields'), (3, 'towns'), (4, 'towns')]
    assert CallCounter.calls == ['before_val_epoch', *batches, 'after_val_epoch']


def test_training_by_epochs_of_the_longest_data_set(config, tmp_path):
    """5 fields by 2 take 3 iterations, 3 towns by 3 take 1."""
    config.custom_hooks = [dict(type='s5_mm.CallCounter')]
    runner = Runner.from_cfg(config)
    runner.train()
    assert (runner.iter, runner.max_iters) == (12, 12)
    assert CallCounter.calls.count('before_val_epoch') == 2
    assert runner.train_loop.val_interval == 6
    # The schedule ends where training ends.
    assert runner.param_schedulers[0].end == 12
    assert runner.optim_wrapper.get_lr()['lr'][0] == pytest.approx(0.1 * (1 + math.cos(math.pi * 11 / 12)) / 2)
    assert (tmp_path / 'run' / 'best_mean_mIoU_iter_6.pth').exists()


def test_epoch_length_counts_all_processes():
    sampler = SimpleNamespace(sizes=dict(a=100, b=31, unused=1000), per_batch=dict(a=12, b=2), world_size=4)
    assert epoch_length(sampler) == 4  # b: 31 / 8; a: 100 / 48 takes 3


def test_intervals_are_epochs(config):
    config.train_cfg.update(val_begin=2, dynamic_intervals=[[0, 3], [3, 1]])
    loop = Runner.from_cfg(config).build_train_loop(config.train_cfg)
    assert (loop.val_begin, loop.dynamic_milestones, loop.dynamic_intervals) == (6, [0, 0, 9], [6, 9, 3])


@pytest.mark.parametrize(('change', 'message'), [
    ({'train_cfg.max_epochs': 0}, 'max_epochs is 0; give a number of epochs'),
    ({'train_cfg.val_interval': 0.5}, r'val_interval is 0\.5; give a number of epochs'),
    ({'model.names': ['towns']}, r"train_dataloader has the datasets \['fields'\], which the model does not know; "
     r"its model.datasets has \['towns'\]"),
    ({'param_scheduler': [dict(type='CosineAnnealingLR', eta_min=0, T_max=4)]}, r"\['CosineAnnealingLR'\] in "
     'param_scheduler counts epochs'),
])
def test_training_that_cannot_be(config, change, message):
    config.merge_from_dict(change)
    with pytest.raises(ValueError, match=message):
        Runner.from_cfg(config).train()


def test_another_sampler_is_an_error(config):
    config.train_dataloader.sampler = dict(type='InfiniteSampler')
    with pytest.raises(ValueError, match="sampler is a InfiniteSampler; set train_dataloader.sampler.type='s5_mm"):
        Runner.from_cfg(config).train()


@pytest.mark.parametrize(('change', 'message'), [
    (lambda c: c.val_evaluator.pop('towns'), r"val_dataloader has the datasets \['fields', 'towns'\], "
     r"val_evaluator has \['fields'\]; both need the same"),
    (lambda c: c.model.update(names=['fields']), r"train_dataloader has the datasets \['towns'\]"),
    (lambda c: c.update(val_dataloader=c.val_dataloader.fields), 'val_dataloader must be a dict of one for each data'),
    (lambda c: c.update(val_evaluator=c.val_evaluator.fields), 'val_evaluator must be a dict of one for each dataset'),
    (lambda c: (c.val_dataloader.update(mean=c.val_dataloader.towns),
                c.val_evaluator.update(mean=c.val_evaluator.towns)), "a dataset 'mean', the name under which the mean"),
])
def test_names_that_disagree_are_an_error_before_training(config, change, message):
    config.custom_hooks = [dict(type='s5_mm.CallCounter')]
    change(config)
    with pytest.raises(ValueError, match=message):
        Runner.from_cfg(config).train()


def test_testing_what_the_model_does_not_know_is_an_error(config):
    config.model.names = ['fields']
    with pytest.raises(ValueError, match=r"test_dataloader has the datasets \['towns'\], which the model does not "
                       r"know; its model\.datasets has \['fields'\]"):
        Runner.from_cfg(config).test()


@pytest.mark.parametrize('number', [2, 4])
@pytest.mark.parametrize('loop', ['val', 'test'])
def test_heads_with_other_classes_are_an_error(config, loop, number):
    config.model.numbers = dict(fields=2, towns=number)
    with pytest.raises(ValueError, match=rf"{loop}_dataloader: dataset 'towns' has 3 classes \(road, house, tree\), "
                       rf'its head in the model has {number}; set model\.datasets\.towns\.num_classes=3'):
        getattr(Runner.from_cfg(config), loop)()


def test_heads_with_other_classes_are_an_error_before_training(config, tmp_path):
    config.model.numbers = dict(fields=2, towns=4)
    with pytest.raises(ValueError, match="val_dataloader: dataset 'towns' has 3 classes"):
        Runner.from_cfg(config).train()
    assert not list(tmp_path.rglob('scalars.json'))
    config.model.numbers = dict(fields=2, towns=3)
    Runner.from_cfg(config).test()


def test_pictures_have_the_colors_of_their_data_set(config, tmp_path):
    config.default_hooks.visualization = dict(type='s5_mm.MultiDatasetVisualizationHook', draw=True)
    Runner.from_cfg(config).test()
    drawn = sorted(path.name for path in (tmp_path / 'drawn' / 'vis_data' / 'vis_image').iterdir())
    assert drawn == [*(f'test_fields_{i}.png_{i + 1}.png' for i in range(5)),
                     *(f'test_towns_{i}.png_{i + 6}.png' for i in range(3))]
    for name, number in dict(fields=1, towns=6).items():
        path = tmp_path / 'drawn' / 'vis_data' / 'vis_image' / f'test_{name}_0.png_{number}.png'
        truth, prediction = np.split(mmcv.imread(str(path), channel_order='rgb'), 2, axis=1)
        assert truth[0, 0].tolist() == PALETTES[name][1]
        assert prediction[0, 0].tolist() == prediction[3, 0].tolist() == PALETTES[name][0]


def test_validation_draws_the_first_image_of_a_batch(config, tmp_path):
    config.default_hooks.visualization = dict(type='s5_mm.MultiDatasetVisualizationHook', draw=True, interval=3)
    config.default_hooks.checkpoint = None
    Runner.from_cfg(config).val()
    drawn = sorted(path.name for path in (tmp_path / 'drawn' / 'vis_data' / 'vis_image').iterdir())
    assert drawn == ['val_fields_0.png_0.png', 'val_towns_0.png_3.png']


def test_the_drawn_image_is_rgb_of_the_original_size():
    image = torch.zeros(3, 2, 2)
    image[0] = 300.0  # blue, clipped to 255
    model = SimpleNamespace(data_preprocessor=SimpleNamespace(channel_conversion=True))
    shown = picture(SimpleNamespace(model=model), image, (4, 6))
    assert shown.shape == (4, 6, 3)
    assert (shown == [0, 0, 255]).all()

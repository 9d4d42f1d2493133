"""The ways to train on four land-cover datasets differ in nothing but what they are compared for."""
import importlib
import sys

import pytest
from mmengine.config import Config
from running import ROOT

NAMES = ['vaihingen', 'potsdam', 'loveda', 'openearthmap']


def config(way, name='landcover4'):
    return Config.fromfile(ROOT / f'configs/quickstart/{way}_vit-t_upernet_{name}-96x96.py')


@pytest.fixture
def task(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    monkeypatch.chdir(ROOT)
    yield importlib.import_module('landcover_task')
    for name in ('landcover_task', 'synthetic_task'):
        sys.modules.pop(name, None)


@pytest.mark.parametrize('name', NAMES)
def test_alone_a_data_set_gets_what_it_gets_with_others(name):
    alone, together = config('sdf', name), config('moe-mdf')
    assert alone.train_dataloader.dataset.sources == {name: together.train_dataloader.dataset.sources[name]}
    assert alone.train_dataloader.sampler == together.train_dataloader.sampler
    assert alone.train_dataloader.batch_size == alone.train_dataloader.sampler.per_batch
    for part in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'randomness'):
        assert alone[part] == together[part]
    assert alone.test_dataloader == {name: together.test_dataloader[name]}
    assert alone.test_evaluator == {name: together.test_evaluator[name]}
    assert alone.model.init_cfg == together.model.init_cfg
    assert alone.model.datasets[name].num_classes == together.model.datasets[name].num_classes
    # No dataset has a late start here, as Vaihingen has in the paper's recipe.
    assert {data.get('start', 0) for data in (*alone.model.datasets.values(), *together.model.datasets.values())} == {0}


def test_mdf_lacks_the_experts_alone():
    mdf, moe = config('mdf'), config('moe-mdf')
    assert mdf.model.pop('experts') is None
    assert moe.model.pop('experts').part_features == 32
    assert mdf.model == moe.model
    assert mdf.train_dataloader == moe.train_dataloader


def test_parameters_of_the_ways(task):
    counts = task.count_parameters()
    # Each of four blocks has four experts of 32 channels in place of one: 3 more of 384 * 32 + 32 numbers.
    assert counts['moe-mdf'] - counts['mdf'] == 4 * 3 * (384 * 32 + 32)
    assert counts['mdf'] < counts['moe-mdf'] < counts['sdf']


def test_means_are_over_data_sets(task):
    scores = dict(sdf=dict(a=10.0, b=21.0), mdf=dict(a=1.0, b=2.0))
    assert task.mean_scores(scores) == dict(sdf=15.5, mdf=1.5)

"""The start of the quickstart, what it draws, and how gains are counted."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from safetensors.torch import load_file

from s5_mm.checkpoints import replace_pretrained
from s5_mm.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs/quickstart'


@pytest.fixture
def benchmark(monkeypatch):
    """Import a script of benchmarks/ as Python does when it is run."""
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    yield importlib.import_module
    for name in ('quickstart', 'detection_task', 'landcover_task', 's4p_gain', 'synthetic_task'):
        sys.modules.pop(name, None)


def network(name):
    cfg = Config.fromfile(CONFIGS / f'{name}_vit-t_upernet_synthetic-96x96.py')
    return cfg, MODELS.build(cfg.model)


@pytest.mark.parametrize(('name', 'part'), [
    ('supervised', ''), ('supervised-weak', ''), ('fixmatch', 'segmentor.'), ('fixmatch-weak', 'segmentor.')])
def test_every_run_starts_from_all_of_start(name, part, monkeypatch):
    monkeypatch.chdir(ROOT)
    start = load_file(CONFIGS / 'start.safetensors')
    _, model = network(name)
    replace_pretrained(model)
    model.init_weights()
    state = {key.removeprefix(part): value for key, value in model.state_dict().items() if key.startswith(part)}
    assert set(start) <= set(state)
    assert all((state[key] == value).all() for key, value in start.items())
    own = {key for key in state if not key.startswith(('data_preprocessor', 'teacher'))}
    assert own == set(start)


@pytest.mark.parametrize('kind', ['', '-weak'])
def test_s4p_and_supervised_differ_in_the_pool_alone(kind):
    supervised, s4p = network(f'supervised{kind}')[0], network(f'fixmatch{kind}')[0]
    assert s4p.train_dataloader.dataset.sources.labeled == supervised.train_dataloader.dataset.sources.labeled
    assert s4p.train_dataloader.sampler.per_batch.labeled == supervised.train_dataloader.sampler.per_batch.labeled
    assert s4p.optim_wrapper == supervised.optim_wrapper
    assert s4p.param_scheduler == supervised.param_scheduler
    assert s4p.train_cfg == supervised.train_cfg


def test_weak_twin_lacks_the_jitter_alone():
    steps = [
        [step.type for step in network(name)[0].train_dataloader.dataset.sources.labeled.pipeline]
        for name in ('supervised', 'supervised-weak')
    ]
    assert [step for step in steps[0] if step != 'PhotoMetricDistortion'] == steps[1]
    assert 'PhotoMetricDistortion' in steps[0]


def test_richest_shows_each_class_once(benchmark, tmp_path):
    for name, row in {'a': [0, 0, 0, 1], 'b': [2, 2, 1, 1], 'c': [2, 0, 0, 0], 'd': [3, 0, 0, 255]}.items():
        Image.fromarray(np.array([row], np.uint8)).save(tmp_path / f'{name}.png')
    # Class 1 and class 2 have most pixels in b, class 3 in d; nothing holds class 4.
    assert benchmark('quickstart').richest(tmp_path, 5) == ['b', 'd']


def test_a_part_that_did_not_learn_ends_the_quickstart(benchmark):
    script = benchmark('quickstart')
    script.check_learned('rotated detection', dict(dior=29.1, dota=15))
    with pytest.raises(SystemExit, match=r'detection did not learn: dota 0\.00, at least 15 is expected') as stop:
        script.check_learned('rotated detection', dict(dior=29.1, dota=0.0))
    assert 'work_dirs/quickstart/*/train.log' in stop.value.code
    with pytest.raises(SystemExit, match='S4P did not learn: s4p nan'):
        script.check_learned('S4P', dict(supervised=47.5, s4p=float('nan')))


def test_gain_is_counted_against_the_better_supervised_run(benchmark):
    def scores(supervised, low_rate, control, s4p, transfer):
        values = dict(supervised=supervised, supervised_low_rate=low_rate, control=control, s4p=s4p)
        result = {name: dict(mIoU=value) for name, value in values.items()}
        result['supervised']['transfer_mIoU'], result['s4p']['transfer_mIoU'] = transfer
        return result

    script = benchmark('s4p_gain')
    seeds = [scores(40.0, 30.0, 41.0, 42.5, (22.0, 21.0)), scores(40.0, 41.0, 40.0, 40.5, (20.0, 23.0))]
    result = script.summary('as_published', seeds)
    # 42.5 - 40 and 40.5 - 41; 42.5 - 41 and 40.5 - 40; 21 - 22 and 23 - 20.
    assert result['gain'] == dict(
        over_supervised=dict(each=[2.5, -0.5], mean=1.0), over_control=dict(each=[1.5, 0.5], mean=1.0),
        in_transfer=dict(each=[-1.0, 3.0], mean=1.0))
    script.show(result)

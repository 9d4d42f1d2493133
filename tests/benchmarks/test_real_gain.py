"""The comparison on real imagery: its settings fit the configs, its gains are paired."""
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction
from running import ROOT


@pytest.fixture
def real_gain(load_tool, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    return load_tool('benchmarks/real_gain.py')


def test_settings_of_every_run(real_gain, tmp_path):
    (tmp_path / 'lists').mkdir()
    args = real_gain.parse_args(['--data', str(tmp_path), '--steps', '100', '--budget', '4'])
    for name, (config, length, _) in real_gain.RUNS.items():
        cfg = Config.fromfile(ROOT / real_gain.NAME.format(config))
        options = real_gain.settings(args, name, seed=2)
        known = cfg.to_dict()
        cfg.merge_from_dict({key: DictAction._parse_int_float_bool(value) for key, value in
                             (option.split('=', 1) for option in options)})
        sources = cfg.train_dataloader.dataset.sources
        assert sources.labeled.ann_file == 'lists/labeled_1_of_4_seed_2.txt'
        assert cfg.train_dataloader.sampler.per_batch.labeled == 8
        assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 100 * length
        assert cfg.randomness.seed == 2
        if config != 'supervised':
            assert Path(sources.unlabeled.source) == tmp_path / 'lists/unlabeled_1_of_4_seed_2.txt'
        if name == 'control':
            assert cfg.model.unlabeled_weight == 0
        if config == 'unimatch-v2-aligned':
            assert cfg.custom_hooks[6] == dict(type='s5_mm.LossRampHook', end=50)
        assert cfg.model.type == known['model']['type']


def test_gains_are_paired(real_gain):
    names = ['supervised, 1 x steps, rate 0.001', 'supervised, 2 x steps, rate 0.001', 'control', 'FixMatch']
    seeds = [dict(zip(names, ({'mIoU': value} for value in scores), strict=True))
             for scores in ((40.0, 41.0, 40.5, 43.0), (39.0, 38.0, 40.0, 39.5))]
    assert real_gain.gains(seeds, 'FixMatch', names[:2]) == {'each': [2.0, 0.5], 'mean': 1.25}
    assert real_gain.gains(seeds, 'FixMatch', ['control']) == {'each': [2.5, -0.5], 'mean': 1.0}
    assert real_gain.gains(seeds, 'control', ['control']) is None
    real_gain.show(seeds, [0, 1])


def test_data_must_exist(real_gain, tmp_path, capsys):
    with pytest.raises(SystemExit):
        real_gain.parse_args(['--data', str(tmp_path)])
    assert f'has no lists/; make it with data_prep/mbrsc.py SRC {tmp_path}' in capsys.readouterr().err

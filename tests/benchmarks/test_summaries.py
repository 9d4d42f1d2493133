"""How benchmarks count and show what they measured."""
import sys

import pytest
from mmengine.config import Config
from running import ROOT

SIBLINGS = ('commands', 'comparison', 'detection_task', 'landcover_task', 'synthetic_task')


@pytest.fixture
def benchmark(monkeypatch, load_tool):
    """Load a script of benchmarks/ by its path, since a folder of tests has the name of one of them."""
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    monkeypatch.chdir(ROOT)
    yield lambda name: load_tool(f'benchmarks/{name}.py')
    for name in SIBLINGS:
        sys.modules.pop(name, None)


def test_curation_gain_counts_kinds_over_all_seeds(benchmark, monkeypatch, capsys):
    script = benchmark('curation_gain')
    kinds = dict(a='clean', b='clean', c='degraded', d='off_domain')
    monkeypatch.setattr(script, 'kinds_of_pool', lambda: kinds)
    lists = {('curated', 0): ['a', 'b'], ('random', 0): ['a', 'c'],
             ('curated', 1): ['a', 'b'], ('random', 1): ['c', 'd']}
    scores = {('curated', 0): 50.0, ('random', 0): 48.0, ('curated', 1): 51.0, ('random', 1): 49.5}
    result = script.summary(lists, scores, 2)
    assert result['kinds']['pool'] == dict(clean=50.0, degraded=25.0, off_domain=25.0)
    assert result['kinds']['curated'] == dict(clean=100.0, degraded=0.0, off_domain=0.0)
    assert result['kinds']['random'] == dict(clean=25.0, degraded=50.0, off_domain=25.0)
    assert result['mIoU'] == dict(curated=[50.0, 51.0], random=[48.0, 49.5])
    assert result['mean'] == dict(curated=50.5, random=48.75)
    assert result['selected'] == dict(curated=2, random=2)
    script.show(result)
    assert '48.75' in capsys.readouterr().out


def test_mdf_gain_shows_means_and_the_share_of_parameters(benchmark, monkeypatch, capsys):
    script = benchmark('mdf_gain')
    monkeypatch.setattr(script, 'count_parameters', lambda: {'sdf': 400, 'mdf': 100, 'moe-mdf': 150})
    names = ('vaihingen', 'potsdam', 'loveda', 'openearthmap')
    means = {'sdf': 40.0, 'mdf': 38.0, 'moe-mdf': 41.0}
    # At the second rate SDF is worse by 1, the others better by 1 and by 2.
    gains = {1e-3: dict.fromkeys(means, 0), 2e-3: {'sdf': -1, 'mdf': 1, 'moe-mdf': 2}}
    scores = {rate: [{way: dict.fromkeys(names, mean + seed + gain[way]) for way, mean in means.items()}
                     for seed in (0, 1)] for rate, gain in gains.items()}
    result = script.summary(scores, 120)
    assert result['rate'] == {'sdf': 1e-3, 'mdf': 2e-3, 'moe-mdf': 2e-3}
    assert result['mean'] == {'sdf': 40.5, 'mdf': 39.5, 'moe-mdf': 43.5}
    assert result['mean_of_each_rate'][1e-3] == {'sdf': 40.5, 'mdf': 38.5, 'moe-mdf': 41.5}
    assert result['means'] == [{'sdf': 40, 'mdf': 39, 'moe-mdf': 43}, {'sdf': 41, 'mdf': 40, 'moe-mdf': 44}]
    assert result['command'].endswith('--seeds 2 --iters 120 --rates 0.001 0.002')
    assert result['share_of_sdf'] == {'sdf': 1.0, 'mdf': 0.25, 'moe-mdf': 0.375}
    script.show(result)
    assert '38%' in capsys.readouterr().out


def test_made_up_scores_are_selected_from(benchmark, tmp_path):
    script = benchmark('curation')
    script.make_scores(tmp_path / 'rows', 3000)
    measured = script._select(tmp_path / 'rows', 300)
    assert 0 < measured['selected'] <= 300
    assert measured['seconds'] > 0


def test_mixed_and_separate_steps_have_the_same_gradients(benchmark):
    script = benchmark('mixed_step')
    network = Config.fromfile(ROOT / 'configs/quickstart/moe-mdf_vit-t_upernet_landcover4-96x96.py').model
    network.update(init_cfg=None)
    network.backbone.update(img_size=32, drop_path_rate=0.0)
    network.decode_head.update(dropout_ratio=0.0)
    model = script.MODELS.build(network).train()
    classes = {name: cfg.num_classes for name, cfg in network.datasets.items()}
    samples = [script.make_sample(name, number, 32) for name, number in classes.items() for _ in range(2)]
    inputs = script.torch.randn(len(samples), 3, 32, 32)
    script.step(model, [(inputs, samples)])
    mixed = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    script.step(model, [(inputs[i:i + 2], samples[i:i + 2]) for i in range(0, len(samples), 2)])
    separate = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert mixed.keys() == separate.keys()
    assert all(script.torch.allclose(mixed[name], separate[name], atol=1e-5) for name in mixed)

"""The speed comparison: every case runs, counts and says what it should."""
import json
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import init_default_scope
from running import ROOT

OWN = ('performance', 'published_style', 'run', 'mixed_step', 'synthetic_task', 'curation')


@pytest.fixture
def run(monkeypatch, load_tool):
    """The command."""
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    monkeypatch.chdir(ROOT)
    yield load_tool('benchmarks/run.py')
    for name in [name for name in sys.modules if name.split('.')[0] in OWN]:
        sys.modules.pop(name)
    init_default_scope('mmseg')


def test_cases_and_result(run, tmp_path, capsys):
    cases = ['s4p_step', 'mdf_step', 'det_backbone', 'inference_merged', 'scoring', 'loader']
    out = tmp_path / 'x.json'
    run.main(['--size', 'tiny', '--rounds', '1', '--seconds', '0', '--cases', *cases, '--out', str(out)])
    result = json.loads(out.read_text())
    assert list(result['cases']) == cases
    assert result['ceiling_multiply_adds_g_per_s'] > 1
    for figures in result['cases'].values():
        assert figures['ratio'] == pytest.approx(figures['baseline_s'] / figures['ours_s'], rel=0.05)
        assert figures['setting']['side'] == 64
    for name in ('s4p_step', 'mdf_step'):
        figures = result['cases'][name]
        # One weak pass instead of two, nothing recomputed, small maps convolved at their own size.
        assert figures['ours_multiply_adds_g'] < 0.8 * figures['baseline_multiply_adds_g']
        assert 0 < figures['ours_share_of_ceiling'] < 1.5
        assert figures['memory_ratio'] == pytest.approx(figures['ours_peak_mb'] / figures['baseline_peak_mb'], abs=0.02)
    merged = result['cases']['inference_merged']
    assert merged['same_operators'] is True
    assert merged['largest_difference'] < 1e-5
    assert set(result['cases']['loader']['images_per_s']) == {'s4p labeled', 's4p unlabeled', 'mdf', 'test'}
    assert 's4p_step' in capsys.readouterr().out


def test_medians_and_ratios(run):
    case = run.performance.Case(ways={}, setting={}, holds=dict(ours=()), images=2)
    spent = dict(ours=[1.0, 2.0, 1.0], baseline=[3.0, 4.0, 1.0])
    figures = run.performance.summary(case, spent, dict(ours=10**9, baseline=4 * 10**9),
                                      dict(ours=2**20, baseline=4 * 2**20), 2e9)
    assert (figures['ratio'], figures['memory_ratio']) == (2.0, 0.25)  # of 3, 2, 1; of 1 and 4 MB
    assert (figures['ours_s'], figures['baseline_s']) == (1.0, 3.0)
    assert figures['ours_share_of_ceiling'] == 0.5  # 1 G in 1 s of 2 G a second
    assert figures['baseline_share_of_ceiling'] == 0.667


def test_a_way_without_baseline(run):
    build = run.performance.growth.without_baseline(lambda: run.performance.Case(
        ways=dict(ours=lambda: None, baseline=pytest.fail), setting={}, holds=dict(ours=(), baseline=())))
    figures = run.performance.compare(build(), 'cpu', rounds=1, seconds=0, most=1.0)
    assert {'ours_s', 'ours_peak_mb', 'ours_system_s'} <= figures.keys()
    assert not {'ratio', 'memory_ratio', 'baseline_s'} & figures.keys()


def test_growth_is_written_row_by_row(run, tmp_path, monkeypatch):
    def rows(*args):
        yield dict(grown='side', value=1)
        raise MemoryError
    monkeypatch.setattr(run.performance, 'measure_growth', rows)
    with pytest.raises(MemoryError):
        run.main(['--size', 'tiny', '--growth', '--out', str(tmp_path / 'x.json')])
    assert json.loads((tmp_path / 'x.json').read_text())['growth'] == [dict(grown='side', value=1)]


def test_seconds_of_the_system_and_turns(run, monkeypatch):
    """Ours, baseline, then the other way round: 3 and 1, then 2 and 4 seconds."""
    clock = iter([0, 3, 3, 4, 4, 6, 6, 10])
    monkeypatch.setattr(run.performance.measuring, 'os', SimpleNamespace(
        times=lambda: SimpleNamespace(system=float(next(clock)))))
    turns = []
    case = run.performance.Case(
        ways=dict(ours=lambda: turns.append('ours'), baseline=lambda: turns.append('baseline')), setting={})
    figures = run.performance.compare(case, 'cpu', rounds=2, seconds=0, most=1.0)
    assert turns[2:] == ['ours', 'baseline', 'baseline', 'ours']
    assert (figures['ours_system_s'], figures['baseline_system_s']) == (3.5, 1.5)


def test_attention_on_a_cpu_is_counted(run):
    query, key, value = (torch.randn(1, 2, 10, 8, requires_grad=True) for _ in range(3))
    with run.performance.multiply_adds() as counter:
        torch.nn.functional.scaled_dot_product_attention(query, key, value).sum().backward()
    # Each product of 2 heads, 10 x 10 tokens and 8 channels has 1600: two forward, five backward.
    assert counter.get_total_flops() // 2 == 7 * 1600


def test_peak_memory_counts_what_is_held_and_what_is_taken(run):
    held = torch.nn.Linear(2**10, 2**10, bias=False)  # 4 MB
    with run.performance.peak_bytes((held, ), 'cpu') as peak:
        torch.ones(64 * 2**18).sum()  # 64 MB
    assert 66 < peak[0] / 2**20 < 90


def test_recomputed_products_are_counted(run):
    layer = torch.nn.Linear(8, 16, bias=False)
    with run.performance.multiply_adds() as counter:
        layer(torch.ones(2, 8)).sum().backward()
    # Forward and the gradient of the weights.
    assert counter.get_total_flops() // 2 == 2 * (2 * 8 * 16)


def test_growth_names_what_grows(run):
    told = run.performance.growth.GROWTH['tiny']
    settings = run.performance.Settings('cpu', 'tiny', 'fp32', {}, {})
    found = [(what, value) for what, value, _ in run.performance.growth.points(settings, told)]
    assert found == [('s4p side', 64), ('s4p side', 96), ('mdf datasets', 1), ('mdf datasets', 2)]

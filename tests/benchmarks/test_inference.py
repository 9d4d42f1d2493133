"""What the benchmark of engines says of its goals."""
import sys

import pytest
from running import ROOT


@pytest.fixture
def benchmark(monkeypatch, load_tool):
    monkeypatch.setattr(sys, 'path', [str(ROOT / 'benchmarks'), *sys.path])
    return load_tool('benchmarks/inference.py')


@pytest.mark.parametrize(('fast', 'reduced', 'score', 'expected'), [
    (1.8, 3.0, 50.5, dict(fp32=True, reduced=True, points=True)),
    (1.7, 2.9, 49.4, dict(fp32=False, reduced=False, points=False))])
def test_goals(benchmark, fast, reduced, score, expected):
    """Of the fastest engine in fp32, of the fastest otherwise, and of the score that is farthest from torch's."""
    times = {'torch fp32': dict(ratio=1), 'a fp32': dict(ratio=fast), 'a bf16': dict(ratio=reduced),
             'b int8': dict(ratio=2)}
    assert benchmark.verdict(times, {'torch fp32': 50.0, 'a int8': score, 'a fp32': 50.1}) == expected


def test_the_newest_checkpoint(benchmark, tmp_path):
    with pytest.raises(FileNotFoundError, match='run `make quickstart` first'):
        benchmark.newest(tmp_path)
    (tmp_path / 'iter_5.pth').touch()
    assert benchmark.newest(tmp_path).name == 'iter_5.pth'

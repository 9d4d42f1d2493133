"""The benchmark of the converter's memory, on a file with a narrow encoder."""
import json

import torch
from running import ROOT


def test_conversion_maps_the_file(load_tool, tmp_path, monkeypatch):
    """154 MB, nearly all of them decoders."""
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    benchmark = load_tool('benchmarks/convert_memory.py')
    source = tmp_path / 'published.pth'
    benchmark.make_file(source, 'tiny', torch.float32)
    assert source.stat().st_size > 10**8
    growth = benchmark.growth(str(source), str(tmp_path / 'ours.pth'), 's5_mm')
    assert 0 < growth < 1.3 * source.stat().st_size


def test_result():
    """What was measured with ViT-H."""
    result = json.loads((ROOT / 'benchmarks/results/convert_memory.json').read_text())
    assert result['arch'] == 'huge'
    assert [case['ratio'] < 1.3 for case in result['cases'].values()] == [True] * 3

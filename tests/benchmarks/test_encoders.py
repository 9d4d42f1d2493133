"""The comparison of encoders, on tiny ones."""
import json
import sys

import pytest
from running import ROOT


def test_ratios_are_to_the_plain_vit(load_tool, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, 'path', [str(ROOT / 'benchmarks'), *sys.path])
    tool = load_tool('benchmarks/encoders.py')
    seconds = {'vit-b': 2.0, 'rvsa-b': 3.0, 'dinov2-b': 5.0}
    monkeypatch.setattr(tool, 'timed', lambda run, device: run() or seconds[run.args[0].name])
    arch = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
    options = json.dumps(dict(arch=arch, out_indices=[0, 1, 2, 3]))
    tool.main(['--names', 'rvsa-b', 'dinov2-b', '--size', '120', '--rounds', '2', '--options', options, '--out',
               str(tmp_path / 'encoders.json')])
    found = json.loads((tmp_path / 'encoders.json').read_text())
    assert {name: one['side'] for name, one in found['encoders'].items()} == {
        'vit-b': 128, 'rvsa-b': 128, 'dinov2-b': 126}
    assert found['encoders']['rvsa-b'] == dict(
        side=128, forward_s=3.0, forward_ratio=1.5, step_s=3.0, step_ratio=1.5)
    assert found['encoders']['dinov2-b']['step_ratio'] == pytest.approx(2.5)
    row = next(line for line in capsys.readouterr().out.splitlines() if 'rvsa-b' in line)
    assert row.replace(' ', '') == '|rvsa-b|128|3.000|1.50|3.000|1.50|1.6|'

"""Benchmark of operators on rotated boxes."""
import json


def test_it_measures_and_counts(load_tool, monkeypatch, tmp_path, capsys):
    benchmark = load_tool('benchmarks/rotated_ops.py')
    monkeypatch.setattr(benchmark.wrong_overlaps, '__defaults__', (300, ))
    monkeypatch.setattr(benchmark.duplicates, '__defaults__', (60, 0.5))
    monkeypatch.setitem(benchmark.CASES, 'NMS 1000, anywhere', benchmark.nms_case(50, benchmark.draw))
    out = tmp_path / 'out.json'
    benchmark.main(['--cases', 'NMS 1000, anywhere', '--rounds', '1', '--exact', '50', '--out', str(out)])
    result = json.loads(out.read_text())
    assert result['seconds']['NMS 1000, anywhere']['ours_s'] > 0
    assert max(result['exact'].values()) < 1e-6
    for name, counts in result['wrong'].items():
        assert counts['torch'] == (60 if 'left by NMS' in name else 0)
    assert 'thin' in capsys.readouterr().out

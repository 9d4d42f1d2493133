"""Benchmark of NMS with float32 and float64 overlaps."""
import json


def test_one_of_each_pair_of_twins_is_left(load_tool, capsys):
    load_tool('benchmarks/rotated_nms.py').main(['--boxes', '60'])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line['iou_thr'] for line in lines] == [0.1, 0.3, 0.5]
    assert all(line['kept_by_float64'] == 60 <= line['kept_by_mmcv'] for line in lines)

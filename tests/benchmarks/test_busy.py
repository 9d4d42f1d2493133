"""Benchmark of training beside a busy process."""
import argparse
import json
import subprocess
from pathlib import Path

from s5_mm.threads import SPINS


def test_ratios_are_to_gnu_openmp_alone(load_tool, monkeypatch, tmp_path, capsys):
    busy, others, beside = load_tool('benchmarks/busy.py'), [], []
    popen = subprocess.Popen

    def open_process(command, **options):
        others.append(popen(command, **options))
        return others[-1]

    def run_steps(spins, args):
        beside.append(sum(process.poll() is None for process in others))
        return {0: 0.13, SPINS: 0.11, 300_000: 0.1}[spins] * (1 + beside[-1])

    monkeypatch.setattr(busy.subprocess, 'Popen', open_process)
    monkeypatch.setattr(busy, 'run_steps', run_steps)
    busy.main(['--spins', '0', '--rounds', '1', '--out', str(tmp_path / 'busy.json')])
    result = json.loads((tmp_path / 'busy.json').read_text())
    assert result['settings'][str(SPINS)] == dict(alone_s=0.11, alone_ratio=1.1, beside_s=0.22, beside_ratio=2.2)
    assert beside == [0, 1] * 3
    assert all('while True: pass' in process.args and process.poll() is not None for process in others)
    assert f'{SPINS} (ours)' in capsys.readouterr().out


def test_a_process_with_a_spin_count_times_its_steps(load_tool, monkeypatch):
    busy, seen = load_tool('benchmarks/busy.py'), []

    def run(command, env, **_):
        seen.append((Path(command[3]).name, command[4], env['GOMP_SPINCOUNT'], 'OMP_WAIT_POLICY' in env))
        return argparse.Namespace(stdout='noise\n[3.0, 1.0, 2.0]\n')

    monkeypatch.setenv('OMP_WAIT_POLICY', 'passive')
    monkeypatch.setattr(busy.subprocess, 'run', run)
    assert busy.run_steps(7, argparse.Namespace(steps=3, seconds=1)) == 2
    assert seen == [('busy.py', '--step', '7', False)]


def test_steps_train_the_network(load_tool):
    assert len(load_tool('benchmarks/busy.py').timed_steps(steps=1, seconds=0)) == 2

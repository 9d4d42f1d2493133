"""The benchmark that kills finds what is lost, and nothing where nothing is."""
import os
import random
import time

import pytest
import torch
from running import ROOT

from benchmarks import kill_scenarios
from s5_mm.files import write_text


@pytest.fixture
def kill(load_tool):
    return load_tool('benchmarks/kill.py')


def lines_of(folder):
    return {path.name: path.read_text() if path.suffix == '.txt' else 'litter' for path in sorted(folder.iterdir())}


def attack(kill, run, folder, expected, kills=0):
    counts = kill.Counts()
    scenario = kill.Scenario(run, lines_of, kill_scenarios.has_part)
    kill.attack(scenario, folder, expected, kills, 1.0, random.Random(0), counts)
    return counts


@pytest.mark.parametrize('safely', [True, False])
def test_losses_are_found(kill, tmp_path, monkeypatch, safely):
    """The first life writes a file, the second one replaces it: at once, or after it has removed the first one."""
    ready, path = tmp_path / 'ready', tmp_path / 'run/a.txt'

    def run(folder):
        folder.mkdir(exist_ok=True)
        lives = len(list(folder.parent.glob('life*')))
        (folder.parent / f'life{lives}').touch()
        if lives == 1 and not safely:
            path.unlink()
        else:
            write_text(path, f'{lives}')
        if lives < 2:
            ready.touch()
            time.sleep(60)

    def when_ready(*_):
        while not ready.exists():
            yield False
            time.sleep(0.001)
        ready.unlink()
        yield True
    monkeypatch.setattr(kill, 'chosen_moments', when_ready)
    counts = attack(kill, run, tmp_path / 'run', {'a.txt': '2'}, kills=2)
    assert (counts.kills, counts.finishes, counts.different, counts.failed, counts.orphans) == (2, 1, 0, 0, 0)
    assert counts.lost == (0 if safely else 1)


def test_orphans_are_found_and_ended(kill, monkeypatch, tmp_path):
    """A child that outlives its parent."""
    def run(folder):
        folder.mkdir()
        if os.fork() == 0:
            time.sleep(60)
    monkeypatch.setattr(kill, 'ORPHANS_LIVE', 0.2)
    assert attack(kill, run, tmp_path / 'run', {}).orphans == 1


def test_a_different_end_and_an_error_are_counted(kill, tmp_path):
    def run(folder):
        folder.mkdir(exist_ok=True)
        write_text(folder / 'a.txt', 'other')
    assert attack(kill, run, tmp_path / 'run', {'a.txt': 'one'}).different == 1
    assert (tmp_path / 'run_bad_1/a.txt').exists()
    assert attack(kill, lambda folder: 1 / 0, tmp_path / 'run', {}).failed == 1
    assert 'ZeroDivisionError' in (tmp_path / 'run.log').read_text()


def test_training_is_compared_by_every_bit():
    state = {'a': torch.tensor([1.0, 2.0]), 'b': [3, {'c': torch.tensor(0)}]}
    same = {'b': [3, {'c': torch.tensor(0)}], 'a': torch.tensor([1.0, 2.0])}
    assert kill_scenarios.digest(state) == kill_scenarios.digest(same)
    state['a'] = torch.nextafter(state['a'], torch.tensor(5.0))
    assert kill_scenarios.digest(state) != kill_scenarios.digest(same)


@pytest.mark.parametrize('name', ['preparation of iSAID', 'cropping of an archive'])
def test_files_are_compared(tmp_path, name):
    """A repeated command changes nothing, and a changed byte or a file too many is seen."""
    scenario, folder = kill_scenarios.SCENARIOS[name], tmp_path / 'run'
    scenario.run(folder)
    state = scenario.state(folder)
    scenario.run(folder)
    assert scenario.state(folder) == state
    image = next(folder.rglob('*.png'))
    image.write_bytes(image.read_bytes() + b'x')
    (folder / 'a.png.1-abcdef.part').touch()
    changed = {name for name, value in scenario.state(folder).items() if state.get(name) != value}
    assert changed == {str(image.relative_to(folder)), 'a.png.1-abcdef.part'}
    assert scenario.is_writing(folder)


def test_curation_begins_and_ends(tmp_path, monkeypatch):
    """The scenario as it is; training and preparations are run so by their own tests."""
    monkeypatch.chdir(ROOT)
    scenario = kill_scenarios.SCENARIOS['curation']
    scenario.run(tmp_path / 'run')
    state = scenario.state(tmp_path / 'run')
    assert {'curated.parquet', 'curated.html', 'prototypes.npz'} <= state.keys()
    assert 'litter' not in state.values()

"""Whenever a training dies, it goes on from a complete checkpoint and ends as if it had not died."""
import os
import shutil
from pathlib import Path
from unittest import mock

import pytest
import torch
from toy_training import ToyScore, state_of, train_toy

from s5_mm.checkpoints import read_checkpoint

UNDISTURBED = {
    1: ['best_score_iter_6.pth', 'iter_6.pth', 'last_checkpoint'],
    2: ['best_score_iter_6.pth', 'iter_4.pth', 'iter_6.pth', 'last_checkpoint'],
}


class Killed(BaseException):
    """The process is dead; nothing handles that."""


class DyingDisk:
    """Lets the process die at the n-th change of a file's name, before it or after it; dead processes do nothing."""

    def __init__(self, number, after):
        self.left = number
        self.after = after
        self.patches = [mock.patch.object(os, name, self.dying(getattr(os, name)))
                        for name in ('replace', 'unlink', 'remove')]

    def dying(self, action):
        def act(path, *arguments, **options):
            if not str(path).endswith(('.pth', '.part')):
                return action(path, *arguments, **options)
            self.left -= 1
            if self.left == 0 and self.after:
                action(path, *arguments, **options)
            if self.left <= 0:
                raise Killed
            return action(path, *arguments, **options)
        return act

    def __enter__(self):
        for patch in self.patches:
            patch.start()

    def __exit__(self, *_):
        for patch in self.patches:
            patch.stop()


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    """What runs that keep 1 and 2 checkpoints leave."""
    states = {}
    for keep in (1, 2):
        folder = tmp_path_factory.mktemp('undisturbed')
        train_toy(folder, keep=keep)
        states[keep] = state_of(folder)
        assert [*states[keep]] == UNDISTURBED[keep]
    return states


@pytest.mark.parametrize(('keep', 'after'), [(1, False), (2, True)])
def test_death_at_any_change_of_a_file(tmp_path, keep, after):
    """One life after the other gets a step further; at every death complete files of both kinds are there."""
    train_toy(tmp_path / 'undisturbed', keep=keep, iters=16)
    deaths, had = 0, set()
    for number in range(1, 40):
        try:
            with DyingDisk(number, after):
                train_toy(tmp_path / 'run', resume=True, keep=keep, iters=16)
            break
        except Killed:
            deaths += 1
        kinds = {name.split('_')[0] for name in state_of(tmp_path / 'run') if name.endswith('.pth')}
        assert kinds >= had
        had = kinds
    assert deaths >= 9
    assert state_of(tmp_path / 'run') == state_of(tmp_path / 'undisturbed')


def test_death_before_the_best_checkpoint_is_complete(tmp_path):
    """The former best one is still there."""
    train_toy(tmp_path, iters=2)
    replace = os.replace

    def die(source, target):
        if 'best_score_iter_4' in str(target):
            raise Killed
        replace(source, target)
    with pytest.raises(Killed), mock.patch.object(os, 'replace', die):
        train_toy(tmp_path, resume=True, iters=4)
    assert [*state_of(tmp_path)] == ['best_score_iter_2.pth', 'iter_4.pth', 'last_checkpoint']


def test_death_before_the_last_pointer_is_written(tmp_path, undisturbed):
    """Nothing is left to be trained, but the pointer is set right."""
    replace = os.replace

    def die(source, target):
        if str(target).endswith('last_checkpoint') and (tmp_path / 'iter_6.pth').exists():
            raise Killed
        replace(source, target)
    with pytest.raises(Killed), mock.patch.object(os, 'replace', die):
        train_toy(tmp_path)
    assert state_of(tmp_path)['last_checkpoint'] == 'iter_4.pth'
    train_toy(tmp_path, resume=True)
    assert state_of(tmp_path) == undisturbed[1]


def test_death_while_a_checkpoint_is_written(tmp_path, undisturbed):
    """The half file has no final name, and the next run removes it."""
    def half(content, file):
        file.write(b'half')
        raise Killed

    def dead(path, missing_ok=False):
        if path.suffix == '.part':
            raise Killed
        os.unlink(path)
    train_toy(tmp_path, iters=2)
    with pytest.raises(Killed), mock.patch.object(Path, 'unlink', dead), \
            mock.patch.object(os, 'replace', side_effect=Killed), mock.patch.object(torch, 'save', half):
        train_toy(tmp_path, resume=True, iters=4)
    assert [name for name in state_of(tmp_path) if name.startswith('iter_')] == ['iter_2.pth']
    (tmp_path / 'iter_4.pth.1-abcdef.part').touch()
    train_toy(tmp_path, resume=True)
    assert state_of(tmp_path) == undisturbed[1]


def test_a_copied_work_dir_leaves_the_original_alone(tmp_path, undisturbed):
    """MMEngine removes the best checkpoint under the path that the resumed file names."""
    train_toy(tmp_path / 'first', iters=4)
    before = state_of(tmp_path / 'first')
    shutil.copytree(tmp_path / 'first', tmp_path / 'copy')
    train_toy(tmp_path / 'copy', resume=True)
    assert state_of(tmp_path / 'copy') == undisturbed[1]
    assert state_of(tmp_path / 'first') == before


def test_names_in_a_checkpoint_remove_nothing_elsewhere(tmp_path, monkeypatch):
    """The best checkpoint and the kept ones are names in a file that may come from anyone.

    Removing is forbidden outside of the run, so that a fault in it cannot remove what belongs to others.
    """
    def guarded(action):
        def act(path, *arguments, **options):
            assert Path(os.path.realpath(path)).is_relative_to(run)
            return action(path, *arguments, **options)
        return act
    run, folders = tmp_path / 'run', []
    for name in ('unlink', 'remove', 'rmdir'):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))
    monkeypatch.setattr(shutil, 'rmtree', lambda path, *_, **__: folders.append(path))
    train_toy(run, iters=4, keep=2)
    monkeypatch.chdir(run)
    for name in ('victim.pth', 'iter_x.pth'):
        (tmp_path / name).touch()
    (run / 'best_folder.pth').mkdir()
    (run / 'iter_d').mkdir()
    path = run / 'iter_4.pth'
    content = read_checkpoint(str(path))
    info = content['message_hub']['runtime_info']
    info.update(stop_ckpt_ids=['d/../../iter_x'], keep_ckpt_ids=['d/../../iter_x', 'd/../../victim', 4])
    for best in (tmp_path / 'victim.pth', run / 'best_folder.pth', '../victim.pth', 'iter_d'):
        info.update(best_ckpt=str(best), best_score=-99.0)
        torch.save(content, path)
        train_toy(run, resume=True, keep=2)
        (run / 'iter_6.pth').unlink()
    assert (tmp_path / 'victim.pth').is_file()
    assert (tmp_path / 'iter_x.pth').is_file()
    assert folders == []


def test_validation_that_was_due_is_done_when_training_is_resumed(tmp_path, undisturbed):
    """MMEngine writes the checkpoint before the validation, and leaves that out if it was cut short."""
    with pytest.raises(Killed), mock.patch.object(ToyScore, 'process', side_effect=Killed):
        train_toy(tmp_path, iters=6, interval=6)
    assert [*state_of(tmp_path)] == ['iter_6.pth', 'last_checkpoint']
    for _ in range(2):
        train_toy(tmp_path, iters=6, interval=6, resume=True)
        assert state_of(tmp_path) == undisturbed[1]

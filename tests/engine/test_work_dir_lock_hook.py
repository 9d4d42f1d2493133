"""One training in a work dir."""
import os
import signal

import pytest
from toy_training import state_of, train_toy

from s5_mm import files
from s5_mm.engine.hooks.work_dir_lock_hook import LOCK
from s5_mm.files import locked


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of the folder."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        with locked(tmp_path / LOCK):
            os.write(write, b'x')
            signal.pause()
    os.read(read, 1)
    yield process
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_a_second_training_is_refused(tmp_path, holder):
    with pytest.raises(ValueError, match=rf'Another training writes to {tmp_path} \(process {holder} on .*, since .*'
                                         r'another --work-dir, .*default_hooks.work_dir_lock.shared=True'):
        train_toy(tmp_path)
    assert state_of(tmp_path) == {LOCK: 'litter'}
    train_toy(tmp_path, hooks=dict(work_dir_lock=dict(type='s5_mm.WorkDirLockHook', shared=True)))
    assert 'iter_6.pth' in state_of(tmp_path)


def test_a_killed_training_leaves_no_lock(tmp_path):
    process = os.fork()
    if process == 0:
        with locked(tmp_path / LOCK):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    assert (tmp_path / LOCK).exists()
    for _ in range(2):
        train_toy(tmp_path, resume=True)
        assert not (tmp_path / LOCK).exists()


def test_a_lock_may_have_been_removed_by_its_last_holder(tmp_path, monkeypatch):
    """Between the moments when a file is opened and when it is locked."""
    lockf, removed = files.fcntl.lockf, []

    def late(file, how):
        if not removed:
            removed.append((tmp_path / LOCK).unlink())
        return lockf(file, how)
    monkeypatch.setattr(files.fcntl, 'lockf', late)
    with locked(tmp_path / LOCK):
        assert (tmp_path / LOCK).read_text().startswith(f'process {os.getpid()} on ')
    assert not (tmp_path / LOCK).exists()

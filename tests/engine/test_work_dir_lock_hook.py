"""One training in a work dir."""
import os
import signal

import pytest
from toy_training import state_of, train_toy

from s5_mm import locks
from s5_mm.locks import LOCK_NAME, locked


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(locks.locked.__wrapped__, '__defaults__', (0.1, ))


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of the folder."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        with locked(tmp_path):
            os.write(write, b'x')
            signal.pause()
    os.read(read, 1)
    yield process
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_a_second_training_is_refused(tmp_path, holder):
    with pytest.raises(ValueError, match=rf'process {holder} on .* works in {tmp_path}; .*another --work-dir.*'
                                         r'default_hooks.work_dir_lock.shared=True'):
        train_toy(tmp_path)
    assert state_of(tmp_path) == {LOCK_NAME: 'litter'}
    train_toy(tmp_path, hooks=dict(work_dir_lock=dict(type='s5_mm.WorkDirLockHook', shared=True)))
    assert 'iter_6.pth' in state_of(tmp_path)


def test_a_killed_training_leaves_no_lock(tmp_path):
    process = os.fork()
    if process == 0:
        with locked(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    assert (tmp_path / LOCK_NAME).exists()
    for _ in range(2):
        train_toy(tmp_path, resume=True)
        assert not (tmp_path / LOCK_NAME).exists()

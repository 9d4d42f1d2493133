"""One process at a time works in a folder."""
import errno
import fcntl
import os
import signal
import time

import pytest

from s5_mm import locks
from s5_mm.locks import FolderInUseError, locked


@pytest.fixture
def killed_holder(tmp_path):
    """A process that locks a folder; killed when the test asks for it."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with locked(tmp_path):
            os.write(writer, b'1')
            time.sleep(60)
        os._exit(0)
    os.read(reader, 1)

    def kill():
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    yield child, kill
    if os.path.exists(f'/proc/{child}'):
        kill()


def test_folder_is_made_and_left_without_a_lock(tmp_path):
    with locked(tmp_path / 'new/folder'):
        assert os.listdir(tmp_path / 'new/folder') == ['.lock']
    assert os.listdir(tmp_path / 'new/folder') == []


def test_second_process_is_refused_after_a_while_and_told_who_works_there(tmp_path, killed_holder):
    child, kill = killed_holder
    start = time.monotonic()
    with pytest.raises(FolderInUseError, match=rf'process {child} on .+ works in {tmp_path}; wait until it ends, or'), \
            locked(tmp_path, patience=0.3):
        pass
    assert time.monotonic() - start >= 0.3
    kill()
    assert os.listdir(tmp_path) == ['.lock']
    with locked(tmp_path, patience=0):
        pass
    assert os.listdir(tmp_path) == []


def test_second_process_waits_for_the_first(tmp_path, monkeypatch):
    first = locked(tmp_path)
    first.__enter__()
    monkeypatch.setattr(time, 'sleep', lambda seconds: first.__exit__(None, None, None))
    with locked(tmp_path), pytest.raises(FolderInUseError), locked(tmp_path, patience=-1):
        pass


def test_a_process_that_was_forked_does_not_keep_the_lock_of_one_that_is_done(tmp_path):
    reader, writer = os.pipe()
    with locked(tmp_path):
        child = os.fork()
        if not child:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    with locked(tmp_path, patience=-1):
        pass
    os.write(writer, b'1')
    os.waitpid(child, 0)


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    said = []
    monkeypatch.setattr(fcntl, 'flock', refuse)
    monkeypatch.setattr(locks, 'print_log', lambda text, *_, **__: said.append(text))
    with locked(tmp_path):
        assert os.listdir(tmp_path) == ['.lock']
    assert os.listdir(tmp_path) == []
    assert said == [f'{tmp_path}: its file system has no locks (No locks available); nothing keeps a second process '
                    'out of it.']


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / 'precious').write_text('kept')
    (tmp_path / '.lock').symlink_to('precious')
    with pytest.raises(OSError, match='.lock'), locked(tmp_path):
        pass
    assert (tmp_path / 'precious').read_text() == 'kept'

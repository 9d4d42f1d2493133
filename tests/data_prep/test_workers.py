"""Processes that work for a command: what they give, and that they end with it."""
import os
import signal
import time
from pathlib import Path

import pytest

from data_prep.workers import each


def square(number):
    return number * number


def fail_at_three(number):
    if number == 3:
        raise ValueError('three')
    time.sleep(0.01)
    return number


def note_and_wait(folder):
    (folder / str(os.getpid())).touch()
    time.sleep(60)


def end_at_once(_):
    os.kill(os.getpid(), signal.SIGKILL)


def is_alive(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize('workers', [1, 2])
def test_each_item_once(workers):
    assert sorted(each(square, range(20), workers)) == [(number, number * number) for number in range(20)]


@pytest.mark.parametrize('workers', [1, 2])
def test_after_an_error_no_item_is_begun(workers):
    done = []
    with pytest.raises(ValueError, match='three'):
        done.extend(item for item, _ in each(fail_at_three, range(200), workers))
    assert len(done) < 30


def test_workers_end_with_the_command_that_is_killed(tmp_path):
    command = os.fork()
    if not command:
        list(each(note_and_wait, [tmp_path] * 4, workers=2))
        os._exit(0)
    assert wait_until(lambda: len(os.listdir(tmp_path)) == 2)
    workers = os.listdir(tmp_path)
    assert all(map(is_alive, workers))
    os.kill(command, signal.SIGKILL)
    os.waitpid(command, 0)
    assert wait_until(lambda: not any(map(is_alive, workers)), seconds=10)


def test_a_killed_worker_is_told_in_a_sentence():
    with pytest.raises(OSError, match='a worker was killed, most often because the memory is full; .* --workers 2'):
        list(each(end_at_once, range(3), workers=2))

"""A signal ends a training after its iteration, saved; the resumed run ends as an undisturbed one."""
import multiprocessing
import os
import signal
import time
from unittest import mock

import pytest
import torch
from mmengine.hooks import Hook
from torch.utils.data import DataLoader
from toy_training import ToyScore, state_of, train_toy

from s5_mm.engine import TrainingStopped
from s5_mm.engine.hooks import signal_hook
from s5_mm.engine.signals import ASKED, SIGNALS, TRAINING, StopSignals, share_signals


class Raise(Hook):
    """Send this process a signal in an iteration."""

    def __init__(self, step, number):
        self.step = step
        self.number = number

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step:
            signal.raise_signal(self.number)


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp('undisturbed')
    train_toy(folder)
    return state_of(folder)


def stopped(work_dir, step, number=signal.SIGTERM, **settings):
    handlers = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(TrainingStopped) as caught:
        train_toy(work_dir, resume=True, custom_hooks=[Raise(step, number)], **settings)
    assert caught.value.code == 75
    assert [signal.getsignal(each) for each in SIGNALS] == handlers


@pytest.mark.parametrize('number', SIGNALS)
def test_between_two_checkpoints(tmp_path, undisturbed, number):
    """The extra file is there until the next regular one is."""
    stopped(tmp_path, 3, number)
    assert [*state_of(tmp_path)] == ['best_score_iter_2.pth', 'iter_2.pth', 'iter_3.pth', 'last_checkpoint']
    assert state_of(tmp_path)['iter_3.pth'][1] == 3
    train_toy(tmp_path, resume=True)
    assert state_of(tmp_path) == undisturbed


def test_at_a_checkpoint_nothing_is_saved_twice(tmp_path, undisturbed):
    stopped(tmp_path, 4, keep=2)
    assert [*state_of(tmp_path)] == ['best_score_iter_2.pth', 'iter_2.pth', 'iter_4.pth', 'last_checkpoint']
    train_toy(tmp_path, resume=True)
    assert state_of(tmp_path) == undisturbed


def test_again_and_again(tmp_path, undisturbed):
    for step in (1, 2, 3, 5, 6):
        stopped(tmp_path, step)
    train_toy(tmp_path, resume=True)
    assert state_of(tmp_path) == undisturbed


def test_in_a_validation(tmp_path, undisturbed):
    """It is left at once and repeated when training is resumed."""
    seen = []

    def process(self, data_batch, data_samples):
        seen.append(len(seen))
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(TrainingStopped), mock.patch.object(ToyScore, 'process', process):
        train_toy(tmp_path)
    assert seen == [0]
    assert [*state_of(tmp_path)] == ['iter_2.pth', 'last_checkpoint']
    train_toy(tmp_path, resume=True)
    assert state_of(tmp_path) == undisturbed


def test_a_signal_to_another_process(tmp_path, monkeypatch):
    """All stop after the iteration in which one of them got it."""
    seen = []

    def all_reduce(flag, operation):
        seen.append(operation)
        flag.fill_(len(seen) == 3)
    monkeypatch.setattr(signal_hook, 'is_distributed', lambda: True)
    monkeypatch.setattr(signal_hook, 'all_reduce', all_reduce)
    with pytest.raises(TrainingStopped):
        train_toy(tmp_path)
    assert seen == ['max'] * 3
    assert 'iter_3.pth' in state_of(tmp_path)


def test_several_processes_save_before_they_finish_a_validation(tmp_path, monkeypatch):
    """They would wait for each other in different places if one of them left it."""
    def process(self, data_batch, data_samples):
        signal.raise_signal(signal.SIGTERM)
        saved.append('iter_3.pth' in state_of(tmp_path))
        self.results.extend(data_samples)
    saved = []
    monkeypatch.setattr(signal_hook, 'is_distributed', lambda: True)
    monkeypatch.setattr(signal_hook, 'all_reduce', lambda flag, operation: None)
    settings = dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=6, val_interval=3), interval=2)
    with pytest.raises(TrainingStopped), mock.patch.object(ToyScore, 'process', process):
        train_toy(tmp_path, **settings)
    assert saved == [False] + [True] * 5
    assert [*state_of(tmp_path)] == ['best_score_iter_3.pth', 'iter_4.pth', 'last_checkpoint']


def test_step_of_the_optimizer_is_finished(tmp_path):
    """Gradients of four iterations make a step; they are not in checkpoints."""
    settings = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=4), iters=8, interval=8)
    stopped(tmp_path, 2, **settings)
    assert 'iter_4.pth' in state_of(tmp_path)


def test_a_second_signal_ends_at_once(monkeypatch):
    """Unless it is the echo of a launcher."""
    clock = [0.0]
    monkeypatch.setattr('s5_mm.engine.signals.time.monotonic', lambda: clock[0])
    with StopSignals() as signals:
        assert signals.received is None
        signal.raise_signal(signal.SIGTERM)
        clock[0] = 0.5
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGTERM
        clock[0] = 2.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


class Mortal(torch.utils.data.Dataset):
    """Sends the worker that loads it a signal."""

    def __init__(self, rest=0.0):
        self.rest = rest

    def __len__(self):
        return 2

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self.rest)
        return index


def shared(dataset, signals):
    loader = DataLoader(dataset, num_workers=1, multiprocessing_context='fork')
    share_signals(loader, signals.state)
    return loader


@pytest.mark.parametrize('state', [TRAINING, ASKED])
def test_workers_outlive_a_signal_to_all_processes(state):
    """Also one that the training has not noted yet."""
    with StopSignals() as signals:
        signals.state.value = state
        assert [batch.item() for batch in shared(Mortal(), signals)] == [0, 1]


@pytest.mark.parametrize(('state', 'limit'), [(TRAINING, 'NOTICED'), (ASKED, 'WORKERS_LIVE')])
def test_workers_do_not_live_for_ever(monkeypatch, state, limit):
    monkeypatch.setattr(f's5_mm.engine.signals.{limit}', 0.01)
    with StopSignals() as signals:
        signals.state.value = state
        batches = iter(shared(Mortal(rest=60), signals))
        with pytest.raises(RuntimeError, match='DataLoader worker .* exited unexpectedly'):
            next(batches)


def test_workers_end_with_their_training(tmp_path):
    """Persistent workers of a training that is over end at the signal by which Python ends them, and not later."""
    train_toy(tmp_path, train_dataloader=dict(
        batch_size=1, num_workers=2, persistent_workers=True, dataset=dict(type='s5_mm.ToyDataset'),
        sampler=dict(type='InfiniteSampler', shuffle=False)))
    workers = multiprocessing.active_children()
    assert len(workers) >= 2
    for worker in workers:
        worker.terminate()
        worker.join(5)
        assert worker.exitcode == 0

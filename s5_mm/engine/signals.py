"""Signals that ask a training to stop."""
import ctypes
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Self

from torch.utils.data import DataLoader

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
ECHO = 1.0
"""Seconds within which signals count as one: launchers pass on what a scheduler has sent to all processes."""
NOTICED = 10.0
"""Seconds in which a training that got a signal has noted it."""
WORKERS_LIVE = 120.0
"""Seconds in which the iteration should be finished."""
TRAINING, ASKED, OVER = range(3)
"""What workers of loaders know about their training: it goes on, is asked to stop, or is over."""
EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: it may succeed if it is tried again


class TrainingStopped(SystemExit):
    """A training that was asked to stop and is saved; unless it is caught, the program ends with :data:`EXIT_CODE`."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class StopSignals:
    """Note the first of :data:`SIGNALS` inside a ``with`` block; a second one does what it does outside.

    In a thread other than the main one, which gets no signals, the block does nothing.

    Attributes:
        received: The first signal, or ``None``.
        state: :data:`TRAINING`, :data:`ASKED` or :data:`OVER`, in memory that processes share.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.state = multiprocessing.RawValue('b', TRAINING)
        self._time = 0.0
        self._outside: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._outside = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self.state.value = OVER
        for number, handler in self._outside.items():
            # None stands for a handler that was not set by Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._outside.clear()

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received, self._time = signal.Signals(number), time.monotonic()
            self.state.value = ASKED
        elif time.monotonic() - self._time > ECHO:
            self.__exit__()
            signal.raise_signal(number)


def share_signals(loader: DataLoader, state: ctypes.c_byte) -> None:
    """Let the workers of a loader outlive a signal that goes to all processes, as Ctrl-C does.

    Forked workers inherit the handlers, but torch replaces that of SIGTERM, which would then end a worker and by it the
    iteration that is to be finished. The same signal is how torch and Python end workers when training is over, so a
    worker asks what the training knows of it.

    Args:
        loader: The loader, before it starts its workers.
        state: :attr:`StopSignals.state`.
    """
    loader.worker_init_fn = functools.partial(_init_worker, loader.worker_init_fn, state)


def _init_worker(init: Callable[[int], None] | None, state: ctypes.c_byte, number: int) -> None:
    signal.signal(signal.SIGTERM, functools.partial(_end, state))
    if init is not None:
        init(number)


def _end(state: ctypes.c_byte, *_: object) -> None:
    """End a worker now if the training is over, else when the iteration should be done or nothing was noted."""
    if state.value == OVER:
        _end_now()
    asked = state.value == ASKED
    signal.signal(signal.SIGALRM, _end_now if asked else functools.partial(_end_unless_asked, state))
    signal.setitimer(signal.ITIMER_REAL, WORKERS_LIVE if asked else NOTICED)


def _end_unless_asked(state: ctypes.c_byte, *_: object) -> None:
    if state.value != ASKED:
        _end_now()
    signal.signal(signal.SIGALRM, _end_now)
    signal.setitimer(signal.ITIMER_REAL, WORKERS_LIVE)


def _end_now(*_: object) -> None:
    os._exit(0)

"""Signals that ask a training to stop."""
import functools
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
WORKERS_LIVE = 120.0
"""Seconds in which the iteration should be finished. (torch ends workers by SIGTERM that do not end by themselves.)"""
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
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._time = 0.0
        self._outside: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._outside = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._outside.items():
            # None stands for a handler that was not set by Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._outside.clear()

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received, self._time = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._time > ECHO:
            self.__exit__()
            signal.raise_signal(number)


def share_signals(loader: DataLoader) -> None:
    """Let the workers of a loader outlive a signal that goes to all processes, as Ctrl-C does.

    Forked workers inherit the handlers, but torch replaces that of SIGTERM, which would then end a worker and by it the
    iteration that is to be finished. Here it ends a worker after :data:`WORKERS_LIVE`.

    Args:
        loader: The loader, before it starts its workers.
    """
    loader.worker_init_fn = functools.partial(_init_worker, loader.worker_init_fn)


def _init_worker(init: Callable[[int], None] | None, number: int) -> None:
    signal.signal(signal.SIGTERM, _end_later)
    if init is not None:
        init(number)


def _end_later(*_: object) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process
    signal.setitimer(signal.ITIMER_REAL, WORKERS_LIVE)

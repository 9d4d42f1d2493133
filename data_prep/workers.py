"""Work in several processes, which end with the command that started them."""
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')

POLL_SECONDS = 1.0


def each(work: Callable[[Item], Result], items: Sequence[Item], workers: int,
         initializer: Callable[[], None] | None = None, start_method: str = 'fork') -> Iterator[tuple[Item, Result]]:
    """Process items in parallel, with few pending items; results come in any order.

    After an error no new item is begun; those in progress are finished. Workers of a process that is killed end within
    two seconds.

    Args:
        work: Function of an item; must be picklable.
        items: The items.
        workers: Processes, at least 1; with 1 the items are processed in this process.
        initializer: Called once in each worker; must be picklable.
        start_method: How workers start: ``'fork'`` shares the modules that are imported, ``'spawn'`` is safe where
            threads run.

    Yields:
        Item and result.

    Raises:
        OSError: A worker was killed.
    """
    if workers == 1 or len(items) < 2:
        yield from ((item, work(item)) for item in items)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context(start_method), _start_worker,
                             (os.getpid(), initializer)) as pool:
        running: dict[Future, Item] = {}
        waiting = iter(items)
        try:
            while True:
                while len(running) < 4 * workers and (item := next(waiting, None)) is not None:
                    running[pool.submit(work, item)] = item
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise OSError('a worker was killed, most often because the memory is full; repeat the command with fewer '
                          f'processes than --workers {workers}, it resumes') from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker(parent: int, initializer: Callable[[], None] | None) -> None:
    # Ctrl-C reaches all processes of a terminal; this one finishes its item, and the command ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if initializer is not None:
        initializer()


def _end_with(parent: int) -> None:
    """End this process soon after its parent, whose death closes no pipe as other workers have it open too."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)

"""One process at a time in a folder."""
import contextlib
import errno
import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from mmengine.logging import print_log

LOCK_NAME = '.lock'
PATIENCE = 5.0
"""Seconds. Workers of a killed process hold its lock until they notice that it is gone."""
POLL_SECONDS = 0.2
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class FolderInUseError(OSError):
    """Another process works in a folder."""


@contextlib.contextmanager
def locked(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Keep others that call this out of a folder while the block runs.

    The lock is an ``flock`` on ``FOLDER/.lock``. It ends with the process that holds it, however that ends, so a file
    that a killed process left is no obstacle. Machines that share the folder see each other's locks if its file system
    supports that, as NFS 4 does; one without any locks gives a warning, and the block runs.

    Args:
        folder: The folder; it is made if it is missing.
        patience: Seconds to wait for another process.

    Raises:
        FolderInUseError: Another process, which is named, still works there.
    """
    path = folder / LOCK_NAME
    file = _acquire(path, patience)
    try:
        os.truncate(file, 0)
        os.pwrite(file, f'process {os.getpid()} on {socket.gethostname()}'.encode(), 0)
        yield
    finally:
        # Processes that were forked in the block keep the file open and locked; removed, it hinders nobody.
        path.unlink(missing_ok=True)
        os.close(file)


def _acquire(path: Path, patience: float) -> int:
    """Descriptor of the file, locked."""
    give_up = time.monotonic() + patience
    while True:
        # In the loop, since the holder may remove the folder with its work.
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 200, 0).decode(errors='replace') or 'another process'
            os.close(file)
            if time.monotonic() > give_up:
                raise FolderInUseError(f'{holder} works in {path.parent}; wait until it ends, or choose another '
                                       'folder') from None
            time.sleep(POLL_SECONDS)
            continue
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                os.close(file)
                raise
            print_log(f'{path.parent}: its file system has no locks ({error.strerror}); nothing keeps a second process '
                      'out of it.', 'current', level=logging.WARNING)
            return file
        if _is_file(file, path):
            return file
        os.close(file)  # its holder has just removed it


def _is_file(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False

"""Errors of the operating system in one line, with what helps."""
import contextlib
import errno
import sys
from collections.abc import Iterator

REMEDIES = {
    errno.ENOSPC: 'free some space on this disk, or choose a folder on another one',
    errno.EDQUOT: 'your quota is used up: remove files, or choose a folder elsewhere',
    errno.EFBIG: 'the file system or a limit (ulimit -f) forbids files of this size; choose a folder elsewhere',
    errno.EROFS: 'choose a folder that can be written to',
    errno.EACCES: 'allow the access, or choose another folder',
    errno.EPERM: 'allow the access, or choose another folder',
    errno.EMFILE: 'raise the limit of open files (ulimit -n), or use fewer workers',
    errno.ENFILE: 'the machine has no more files to open; use fewer workers',
    errno.EIO: 'the disk or the network file system fails; check it',
    errno.ESTALE: 'the network file system was changed by another machine; check it',
}
"""Number of an error -> what to do about it. Other errors are shown with their traceback."""


@contextlib.contextmanager
def one_line_errors(command: str) -> Iterator[None]:
    """End the program with one line, which names the file and a remedy, at an error of :data:`REMEDIES`.

    Args:
        command: Name of the program, for the line.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        file = f' ({error.filename})' if error.filename else ''
        sys.exit(f'{command}: error: {error.strerror}{file}; {REMEDIES[error.errno]}. Then repeat the command: files '
                 'that exist are complete.')

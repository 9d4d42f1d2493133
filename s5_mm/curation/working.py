"""One step of curation at a time in a work dir."""
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import all_gather_object, is_main_process

from s5_mm.files import remove_parts
from s5_mm.locks import FolderInUseError, locked

SPILL = 'duckdb-'
"""Prefix of the folders in which DuckDB works when its memory is full."""


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other steps out of a work dir, and remove the temporary files and folders that killed steps left there.

    The first process holds the lock; the others wait until the folder is clean.

    Args:
        folder: The work dir.

    Raises:
        FolderInUseError: Another step works there; raised on all processes.
    """
    with contextlib.ExitStack() as stack:
        refusal = None
        if is_main_process():
            try:
                stack.enter_context(locked(folder))
            except FolderInUseError as error:
                refusal = str(error)
            else:
                _clean(folder)
        refusal = all_gather_object(refusal)[0]
        if refusal:
            raise FolderInUseError(refusal)
        yield


def _clean(folder: Path) -> None:
    remove_parts(folder)
    for spill in folder.glob(f'*/{SPILL}*'):
        shutil.rmtree(spill, ignore_errors=True)

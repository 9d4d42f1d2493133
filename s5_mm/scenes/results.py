"""The files of a scene's results: nobody else's are replaced, other settings are refused, one process writes them."""
import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmengine.dist import barrier, is_main_process

from s5_mm.files import keep_settings
from s5_mm.locks import locked
from s5_mm.rasters import is_remote

from .reading import scene_name
from .sink import Parts

ENDINGS = ('.tif', '_confidence.tif', '_probabilities.tif', '.txt', '.gpkg', '.geojson', '.parquet')
"""What follows the scene's name in the names of its results."""


@contextlib.contextmanager
def begun(scene: str | Path, out: str | Path, settings: Mapping[str, Any]) -> Iterator[tuple[Path, Parts]]:
    """Begin the results of a scene, or go on with them, while no other call does.

    Of the processes of a launcher the first one begins and ends them, and the others wait for the begin.

    Args:
        scene: The scene.
        out: Folder of the results.
        settings: All that decides on them. They are kept in ``OUT/NAME.json``, with the scene's path and time.

    Yields:
        ``OUT/NAME``, to which :data:`ENDINGS` are added, and the parts that are finished; these are removed if the
        block ends without an error.

    Raises:
        FolderInUseError: Another process predicts this scene into this folder.
        ValueError: Results with other settings are there, or a file that is no result.
    """
    base = Path(out) / scene_name(scene)
    record = base.with_name(f'{base.name}.json')
    parts = Parts(base.with_name(f'{base.name}.parts'))
    if not is_main_process():
        barrier()
        yield base, parts
        return
    try:
        with locked(parts.folder):
            if not record.exists():
                _refuse_others(base)
            keep_settings(record, identity(scene) | settings, base)
            barrier()
            yield base, parts
            parts.remove()
    finally:
        with contextlib.suppress(OSError):
            parts.folder.rmdir()  # where nothing is finished


def identity(scene: str | Path) -> dict[str, str | None]:
    """Path of a scene and the time of its last change; of an address what comes before ``?``, which may hold keys."""
    if is_remote(scene):
        return dict(scene=str(scene).partition('?')[0], modified=None)
    modified = datetime.fromtimestamp(os.stat(scene).st_mtime, UTC).isoformat()
    return dict(scene=str(Path(scene).resolve()), modified=modified)


def _refuse_others(base: Path) -> None:
    there = [path for path in (base.with_name(base.name + ending) for ending in ENDINGS) if path.exists()]
    if there:
        raise ValueError(f'{there[0]} is there, and no {base.name}.json that tells how it was predicted: it is not a '
                         'result, or a part of one was removed; choose another folder of results, or move it away.')

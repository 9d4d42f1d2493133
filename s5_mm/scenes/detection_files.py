"""Detections in a scene as DOTA text, with what they were made with; a stopped call goes on."""
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from s5_mm.files import write_text
from s5_mm.radiometry import Radiometry, Stretch
from s5_mm.rasters import open_raster
from s5_mm.version import __version__

from .detection import Detections, TilingConfig, detect
from .model import SceneModel
from .results import begun


def detect_scene(model: SceneModel, scene: str | Path, out: str | Path, settings: TilingConfig | None = None,
                 radiometry: Radiometry | None = None, progress: bool = True) -> Detections:
    """Find objects in a scene, see :func:`detect`, and write ``OUT/NAME.txt`` and ``OUT/NAME.json``.

    Args:
        model: A detector.
        scene: A file or address.
        out: Folder of the results. ``NAME.txt`` has a line ``x1 y1 x2 y2 x3 y3 x4 y4 class score`` for each object, in
            px of the image, ``NAME.json`` records what it was made with.
        settings: How to split and merge.
        radiometry: How to read the scene; default as the model's training images.
        progress: Whether to show a progress bar.

    Returns:
        The detections.

    Raises:
        FolderInUseError: Another process predicts this scene into this folder.
        RasterError: The scene cannot be read.
        ValueError: A setting is out of range, or results with other settings, or other files, are there.
    """
    settings, radiometry = (settings or TilingConfig()).completed(model), radiometry or model.radiometry
    record = dict(model=model.name, dataset=model.dataset, classes=model.classes, radiometry=radiometry.to_dict(),
                  s5_mm=__version__, **asdict(settings))
    with begun(scene, out, record) as (base, parts):
        path = base.with_name(f'{base.name}.txt')
        if path.exists():
            return read_detections(path, scene, model.classes)
        found = detect(model, scene, settings, radiometry, progress, parts)
        write_detections(path, found, model.classes)
    return found


def read_detections(path: Path, scene: str | Path, classes: Sequence[str]) -> Detections:
    """What :func:`write_detections` wrote.

    Args:
        path: The text.
        scene: The scene, whose place on the map is read again.
        classes: Names of the classes.

    Raises:
        ValueError: The file has been changed.
    """
    numbers, labels = [], []
    for line in path.read_text().splitlines():
        *corners, rest = line.split(' ', 8)
        name, _, score = rest.rpartition(' ')
        if name not in classes:
            raise ValueError(f'{path} has the class {name!r}, which the model does not know; remove the file to '
                             'predict again.')
        numbers.append([*map(float, corners), float(score)])
        labels.append(classes.index(name))
    values = np.array(numbers).reshape(-1, 9)
    with open_raster(scene, (1, ), Stretch(value_range=(0, 1)), window=1) as source:
        return Detections(values[:, :8], values[:, 8], np.array(labels, np.int64), source.crs, source.transform)


def write_detections(path: Path, found: Detections, classes: Sequence[str]) -> None:
    """Write detections as text, a line for each."""
    lines = [' '.join([*map(str, polygon.tolist()), classes[label], str(score)])
             for polygon, score, label in zip(found.polygons, found.scores.tolist(), found.labels, strict=True)]
    write_text(path, ''.join(f'{line}\n' for line in lines))

"""Detections in a scene as DOTA text, with what they were made with; a stopped call goes on."""
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from s5_mm.files import keep_settings, write_text
from s5_mm.radiometry import Radiometry
from s5_mm.version import __version__

from .detection import Detections, TilingConfig, detect
from .model import SceneModel
from .reading import scene_name
from .sink import Parts


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
        RasterError: The scene cannot be read.
        ValueError: A setting is out of range, or results with other settings are there.
    """
    settings, radiometry = (settings or TilingConfig()).completed(model), radiometry or model.radiometry
    base = Path(out) / scene_name(scene)
    keep_settings(base.with_name(f'{base.name}.json'), dict(
        scene=str(scene), model=model.name, dataset=model.dataset, classes=model.classes,
        radiometry=radiometry.to_dict(), s5_mm=__version__, **asdict(settings)))
    parts = Parts(base.with_name(f'{base.name}.parts'))
    found = detect(model, scene, settings, radiometry, progress, parts)
    write_detections(base.with_name(f'{base.name}.txt'), found, model.classes)
    parts.remove()
    return found


def write_detections(path: Path, found: Detections, classes: Sequence[str]) -> None:
    """Write detections as text, a line for each."""
    lines = [' '.join([*map(str, polygon.tolist()), classes[label], str(score)])
             for polygon, score, label in zip(found.polygons, found.scores.tolist(), found.labels, strict=True)]
    write_text(path, ''.join(f'{line}\n' for line in lines))

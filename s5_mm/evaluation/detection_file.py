"""A file with the detections and true objects of a test, for analysis without the model."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s5_mm.files import replacing

from .average_precision import DetectedImage

FIELDS = dict(polygons=(np.float64, 8), scores=(np.float64, None), labels=(np.int64, None),
              true_polygons=(np.float64, 8), true_labels=(np.int64, None), difficult=(bool, None))
"""Arrays of an image -> data type and number of columns."""


def check_out_file(out_file: str | None) -> Path | None:
    """The path of a file of detections.

    Args:
        out_file: File name, or ``None``.

    Raises:
        ValueError: The name does not end with ``.npz``.
    """
    if out_file is None:
        return None
    path = Path(out_file)
    if path.suffix != '.npz':
        raise ValueError(f'out_file is {out_file}; detections are kept in a file *.npz.')
    return path


def save_detections(path: Path, images: Sequence[DetectedImage], classes: Sequence[str]) -> None:
    """Write detections and true objects under a temporary name and rename the file.

    Args:
        path: File ``*.npz``; its folder is made.
        images: Detections and true objects.
        classes: Names of the classes, by label.
    """
    arrays = dict(classes=np.array(classes, dtype=str), names=np.array([image.name for image in images], dtype=str),
                  paths=np.array([image.path for image in images], dtype=str))
    for name, (dtype, columns) in FIELDS.items():
        empty = np.zeros((0, columns) if columns else 0, dtype)
        arrays[name] = np.concatenate([empty, *(getattr(image, name) for image in images)])
    for name in ('scores', 'difficult'):
        arrays[f'{name}_per_image'] = np.array([len(getattr(image, name)) for image in images], np.int64)
    with replacing(path) as temporary, temporary.open('wb') as file:
        np.savez_compressed(file, **arrays)


def load_detections(path: str | Path) -> tuple[list[DetectedImage], list[str]]:
    """Read a file of detections. Pickled objects are refused.

    Args:
        path: File ``*.npz``.

    Returns:
        The images, and the names of the classes.

    Raises:
        ValueError: It is no file of detections.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        found = np.split(np.arange(len(arrays['scores'])), arrays['scores_per_image'].cumsum())[:-1]
        there = np.split(np.arange(len(arrays['difficult'])), arrays['difficult_per_image'].cumsum())[:-1]
        images = []
        for name, image_path, own, true in zip(arrays['names'], arrays['paths'], found, there, strict=True):
            values = {field: arrays[field][true if field in ('true_polygons', 'true_labels', 'difficult') else own]
                      for field in FIELDS}
            images.append(DetectedImage(name=str(name), path=str(image_path), **values))
        return images, arrays['classes'].tolist()
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f'{path} holds no detections as out_file of s5_mm.RotatedMAP writes them: {error}') from error

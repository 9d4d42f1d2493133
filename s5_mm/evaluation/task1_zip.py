"""Export of detections for Task 1 (oriented boxes) of the DOTA server."""
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s5_mm.files import replacing

from .average_precision import DetectedImage


def write_task1(path: Path, images: Sequence[DetectedImage], classes: Sequence[str]) -> None:
    """Write a zip with a file ``Task1_<class>.txt`` for every class.

    A line is ``image score x1 y1 x2 y2 x3 y3 x4 y4``. Numbers have the shortest form that is read back as the same
    float64: with two decimals, many scores would be equal and their order undefined. A class without detections has an
    empty file.

    Args:
        path: The zip; its folder is made.
        images: Whole images, each once.
        classes: Names of the classes, by label.
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED) as archive:
        for label, name in enumerate(classes):
            archive.writestr(f'Task1_{name}.txt', ''.join(_lines(image, label) for image in images))


def _lines(image: DetectedImage, label: int) -> str:
    own = np.flatnonzero(image.labels == label)
    own = own[np.argsort(-image.scores[own], kind='stable')]
    return ''.join(f'{image.name} {_numbers([image.scores[box], *image.polygons[box]])}\n' for box in own)


def _numbers(values: Sequence[float]) -> str:
    return ' '.join(repr(float(value)) for value in values)

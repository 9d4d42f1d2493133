"""The format of a benchmark, and the table from scene classes to its ids."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..classes import CLASS_ID, SCENE_CLASSES
from ..render import Picture
from ..sampling import Sample
from ..themes import THEME_NAMES


@dataclass(frozen=True)
class Format:
    """How one benchmark stores its samples.

    Attributes:
        title: Name of the benchmark.
        layout: Files that are written, for the help.
        image_path: (folder, sample) -> the file that is written last; if it exists, the sample is complete.
        write: (picture, folder, sample): writes all files of a sample.
        salt: Number of the format: formats with different ones share no scene.
        counts: Its splits, with the default number of images.
        limits: Largest number of images of a split, where the benchmark has a fixed list of names.
        styles: Default styles; none means all.
        themes: Themes of its scenes.
        size: Default side of an image in pixels.
        gsd: Meters per pixel of the benchmark's sensor; None: those of the styles.
        write_lists: (folder, samples): writes the text files that name the splits.
    """

    title: str
    layout: str
    image_path: Callable[[Path, Sample], Path]
    write: Callable[[Picture, Path, Sample], None]
    salt: int
    counts: Mapping[str, int]
    limits: Mapping[str, int] = field(default_factory=dict)
    styles: tuple[str, ...] = ()
    themes: tuple[str, ...] = THEME_NAMES
    size: int = 256
    gsd: tuple[float, float] | None = None
    write_lists: Callable[[Path, Sequence[Sample]], None] | None = None


def id_table(classes: Mapping[int, str]) -> np.ndarray:
    """Benchmark id of each scene class.

    Args:
        classes: Benchmark id -> names of the corresponding scene classes, separated by spaces.

    Returns:
        (number of scene classes, ) uint8.

    Raises:
        ValueError: If a scene class is missing or occurs twice.
    """
    names = [name for text in classes.values() for name in text.split()]
    if sorted(names) != sorted(SCENE_CLASSES):
        raise ValueError(f'each scene class must occur once: {sorted(SCENE_CLASSES)}; got {sorted(names)}')
    table = np.zeros(len(SCENE_CLASSES), np.uint8)
    for number, text in classes.items():
        for name in text.split():
            table[CLASS_ID[name]] = number
    return table

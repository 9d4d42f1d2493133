"""Pictures by number: every draw depends on seed, stream and number alone, never on the order of work."""

from dataclasses import dataclass

import cv2
import numpy as np

from .classes import OBJECTS
from .layout import build_scene
from .render import Picture, render
from .styles import pick_styles
from .themes import THEME_NAMES
from .view import draw_view

STREAMS = {'train': 0, 'val': 1, 'pool': 2}


@dataclass(frozen=True)
class Source:
    """An endless, reproducible row of pictures.

    Attributes:
        seed: Any integer from 0.
        stream: ``train``, ``val`` or ``pool``: rows that share no picture.
        size: Side of a picture in pixels.
        styles: Names of styles; each turns up equally often.
        classes: Object classes that may appear.
        coarser: Factor on the metres per pixel of the styles.
    """

    seed: int
    stream: str
    size: int
    styles: tuple[str, ...]
    classes: tuple[str, ...] = OBJECTS
    coarser: float = 1.0

    def rng(self, number: int, purpose: int) -> np.random.Generator:
        """The generator of one picture for one purpose."""
        return np.random.default_rng([self.seed, STREAMS[self.stream], number, purpose])

    def turn(self, number: int, count: int, purpose: int) -> int:
        """Deals 0..count-1 in shuffled rounds, so that a small data set is balanced too."""
        return int(self.rng(number // count, purpose).permutation(count)[number % count])

    def style_name(self, number: int) -> str:
        """Style of picture ``number``."""
        return self.styles[self.turn(number, len(self.styles), 3)]

    def theme_name(self, number: int) -> str:
        """Theme of picture ``number``."""
        return THEME_NAMES[self.turn(number, len(THEME_NAMES), 2)]

    def picture(self, number: int) -> Picture:
        """Builds and renders picture ``number``."""
        cv2.setNumThreads(1)
        (style,) = pick_styles((self.style_name(number),))
        seeing = self.rng(number, 1)
        view = draw_view(seeing, style, self.size, self.coarser)
        scene = build_scene(self.rng(number, 0), self.size * view.gsd, self.theme_name(number), self.classes)
        return render(seeing, scene, style, view)

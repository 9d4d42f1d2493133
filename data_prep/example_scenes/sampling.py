"""Pictures by number: every draw depends only on seed, stream and number, not on the order of work."""

from dataclasses import dataclass

import cv2
import numpy as np

from .classes import OBJECTS
from .layout import build_scene
from .render import Picture, render
from .styles import pick_styles
from .themes import THEME_NAMES
from .view import draw_view

STREAMS = {'train': 0, 'val': 1, 'pool': 2, 'test': 3}


@dataclass(frozen=True)
class Sample:
    """A labeled picture before it is made: its split, its number in it, its style and its theme."""

    split: str
    number: int
    style: str
    theme: str


@dataclass(frozen=True)
class Source:
    """An endless, reproducible sequence of pictures.

    Attributes:
        seed: Any integer from 0.
        stream: ``train``, ``val``, ``test`` or ``pool``: different streams share no picture.
        size: Side of a picture in pixels.
        styles: Names of styles; each occurs equally often.
        classes: Object classes that may appear.
        coarser: Factor on the meters per pixel.
        gsd: Range of the meters per pixel; None: that of the style.
        salt: Sources with different ones share no scene, from 0.
        themes: Names of themes; each occurs equally often.
    """

    seed: int
    stream: str
    size: int
    styles: tuple[str, ...]
    classes: tuple[str, ...] = OBJECTS
    coarser: float = 1.0
    gsd: tuple[float, float] | None = None
    salt: int = 0
    themes: tuple[str, ...] = THEME_NAMES

    def rng(self, number: int, purpose: int) -> np.random.Generator:
        """The generator of one picture for one purpose."""
        salt = [self.salt] if self.salt else []
        return np.random.default_rng([self.seed, STREAMS[self.stream], number, purpose, *salt])

    def turn(self, number: int, count: int, purpose: int) -> int:
        """Draws from 0..count-1 in shuffled rounds, so that small datasets are balanced, too."""
        return int(self.rng(number // count, purpose).permutation(count)[number % count])

    def style_name(self, number: int) -> str:
        """Style of picture ``number``."""
        return self.styles[self.turn(number, len(self.styles), 3)]

    def theme_name(self, number: int) -> str:
        """Theme of picture ``number``."""
        return self.themes[self.turn(number, len(self.themes), 2)]

    def sample(self, number: int) -> Sample:
        """Description of picture ``number`` of the split that the stream stands for."""
        return Sample(self.stream, number, self.style_name(number), self.theme_name(number))

    def picture(self, number: int) -> Picture:
        """Builds and renders picture ``number``."""
        cv2.setNumThreads(1)
        (style,) = pick_styles((self.style_name(number),))
        seeing = self.rng(number, 1)
        view = draw_view(seeing, style, self.size, self.coarser, self.gsd)
        scene = build_scene(self.rng(number, 0), self.size * view.gsd, self.theme_name(number), self.classes)
        return render(seeing, scene, style, view)

"""Position, direction and resolution of a view of a scene."""

from dataclasses import dataclass

import numpy as np

from .styles import Style


@dataclass(frozen=True)
class View:
    """A view of a scene: the origin is the middle of the image, turned by ``angle``."""

    size: int
    gsd: float
    angle: float

    def to_pixels(self, points: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """(N, 2) meters to pixels, times ``scale`` where the canvas is finer than the image."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        turned = points @ np.array([(c, s), (-s, c)])
        return (turned / self.gsd + self.size / 2) * scale


def draw_view(
    rng: np.random.Generator, style: Style, size: int, coarser: float = 1.0, gsd: tuple[float, float] | None = None
) -> View:
    """Draws the ground resolution within ``gsd`` or else the style's, times ``coarser``, and a direction."""
    return View(size, coarser * float(rng.uniform(*(gsd or style.gsd))), float(rng.uniform(0, 2 * np.pi)))

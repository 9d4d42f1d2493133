"""Fine structure of materials: grain, patches and the rows of fields and lawns."""

import cv2
import numpy as np

from .scene import Shape
from .view import View

# Standard deviation of grain (one pixel) and of patches (some meters), as a share of brightness.
TEXTURE = {
    'grass': (0.07, 0.10),
    'turf': (0.04, 0.04),
    'tree': (0.16, 0.10),
    'crop': (0.06, 0.06),
    'soil': (0.06, 0.10),
    'sand': (0.04, 0.05),
    'gravel': (0.08, 0.05),
    'water': (0.03, 0.05),
    'asphalt': (0.03, 0.05),
    'concrete': (0.03, 0.06),
    'roof': (0.05, 0.03),
    'flat_roof': (0.03, 0.05),
    'clutter': (0.08, 0.0),
    'court': (0.02, 0.03),
    'track': (0.02, 0.03),
    'pool': (0.04, 0.03),
}
PLAIN = (0.02, 0.02)


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """(size, size) float32 noise of unit variance whose patches are ``size / cells`` pixels wide."""
    cells = max(3, min(cells, size))
    return cv2.resize(rng.standard_normal((cells, cells), np.float32), (size, size), interpolation=cv2.INTER_CUBIC)


def apply_texture(
    rng: np.random.Generator, image: np.ndarray, top: np.ndarray, shapes: list[Shape], view: View, amount: float
) -> None:
    """Modulates an image in place.

    Args:
        rng: Source of the noise.
        image: (S, S, 3) float32, 0-255.
        top: (S, S) index of the shape that each pixel shows.
        shapes: The shapes of the scene.
        view: Gives meters per pixel and direction.
        amount: Factor on all amplitudes.
    """
    size = image.shape[0]
    strength = np.array([TEXTURE.get(shape.material, PLAIN) for shape in shapes], np.float32)[top] * amount
    extent = size * view.gsd
    coarse = 0.6 * smooth_noise(rng, size, int(extent / 9)) + 0.6 * smooth_noise(rng, size, int(extent / 2.5))
    fine = rng.standard_normal((size, size), np.float32)
    light = 1 + strength[..., 0] * fine + strength[..., 1] * coarse
    for index in np.unique(top):
        if shapes[index].rows is not None:
            _rows(light, top == index, shapes[index].rows, view)
    image *= light[..., None]
    tone = smooth_noise(rng, size, int(extent / 14)) * strength[..., 1] * 25
    image[..., 0] += tone
    image[..., 2] -= tone


def _rows(light: np.ndarray, inside: np.ndarray, rows: tuple[float, float], view: View) -> None:
    angle, period = rows[0] + view.angle, max(rows[1] / view.gsd, 2.5)
    y, x = np.nonzero(inside)
    phase = (-x * np.sin(angle) + y * np.cos(angle)) * (2 * np.pi / period)
    light[y, x] *= 1 + 0.07 * np.sign(np.sin(phase)) * (0.6 + 0.4 * np.sin(phase * 0.31))

"""Degradations of overhead views, which curation should drop: (S, S, 3) uint8 RGB in and out."""

import cv2
import numpy as np

from .texture import smooth_noise


def heavy_blur(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Defocus, or motion along one direction."""
    size = image.shape[0]
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.016, 0.04) * size)
    length = max(7, int(rng.uniform(0.08, 0.18) * size))
    kernel = np.zeros((length, length), np.float32)
    angle, middle = rng.uniform(0, np.pi), length / 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    ends = np.rint(middle + np.stack([-reach, reach])).astype(int)
    cv2.line(kernel, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def heavy_noise(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Sensor noise that covers the scene."""
    noisy = image + rng.standard_normal(image.shape, np.float32) * rng.uniform(50, 90)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def clouds(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Clouds over most of the view."""
    size = image.shape[0]
    cover = sum(
        smooth_noise(rng, size, cells) / weight for cells, weight in ((4, 1.0), (9, 2.0), (24, 5.0), (60, 12.0))
    )
    opaque = np.clip(0.5 + (cover + rng.uniform(0.7, 1.4)) * 0.6, 0, 1)[..., None]
    white = 236 + 8 * smooth_noise(rng, size, 12)[..., None]
    return np.clip(image * (1 - opaque) + white * opaque, 0, 255).astype(np.uint8)


def over_exposed(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Washed out to white."""
    return np.clip(image * rng.uniform(2.2, 3.2) + rng.uniform(70, 130), 0, 255).astype(np.uint8)


def under_exposed(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Nearly black."""
    dark = image * rng.uniform(0.06, 0.16) + rng.standard_normal(image.shape, np.float32) * 2
    return np.clip(dark, 0, 255).astype(np.uint8)


def no_data(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Missing lines, or the black corner outside a swath."""
    size, image = image.shape[0], image.copy()
    if rng.random() < 0.5:
        height = max(2, int(rng.uniform(0.02, 0.1) * size))
        for row in range(int(rng.integers(height)), size, int(height * rng.uniform(1.4, 2.0)) + 1):
            image[row : row + height] = 0
        return image
    y, x = np.mgrid[:size, :size] / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    image[x * np.cos(angle) + y * np.sin(angle) > rng.uniform(-0.3, 0.0)] = 0
    return image


DEGRADATIONS = {
    'blur': heavy_blur,
    'noise': heavy_noise,
    'clouds': clouds,
    'over_exposed': over_exposed,
    'under_exposed': under_exposed,
    'no_data': no_data,
}

"""Pictures that are no overhead views, as they occur in web-scale pools: (size, size, 3) uint8 RGB."""

import cv2
import numpy as np

from .geometry import ellipse
from .texture import smooth_noise


def _color(rng: np.random.Generator) -> list[int]:
    return rng.integers(20, 236, 3).tolist()


def _grain(rng: np.random.Generator, image: np.ndarray, sigma: float = 4.0) -> np.ndarray:
    return np.clip(image + rng.standard_normal(image.shape, np.float32) * sigma, 0, 255).astype(np.uint8)


def room(rng: np.random.Generator, size: int) -> np.ndarray:
    """An indoor view: back wall, side walls, floor and ceiling in soft gradients, a few boxes."""
    image = np.zeros((size, size, 3), np.uint8)
    x0, y0, x1, y1 = (rng.uniform((0.2, 0.2, 0.6, 0.55), (0.4, 0.35, 0.8, 0.7)) * size).astype(int)
    corners, wall = [(0, 0), (size, 0), (size, size), (0, size)], [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    base = np.array(_color(rng)) * 0.5 + 100
    for k in range(4):
        side = np.array([corners[k], corners[(k + 1) % 4], wall[(k + 1) % 4], wall[k]], np.int32)
        cv2.fillPoly(image, [side], (base * rng.uniform(0.5, 1.1)).tolist())
    cv2.rectangle(image, (x0, y0), (x1, y1), base.tolist(), -1)
    for _ in range(rng.integers(2, 6)):
        left, width, height = rng.uniform(0, 0.8) * size, rng.uniform(0.1, 0.3) * size, rng.uniform(0.1, 0.4) * size
        foot = rng.uniform(0.7, 1.0) * size
        cv2.rectangle(image, (int(left), int(foot - height)), (int(left + width), int(foot)), _color(rng), -1)
    light = 1 + 0.3 * smooth_noise(rng, size, 3)[..., None]
    return _grain(rng, cv2.GaussianBlur(image, (0, 0), 1.2) * np.clip(light, 0.4, 1.5))


def text(rng: np.random.Generator, size: int) -> np.ndarray:
    """A page or a screen full of words."""
    ink = int(rng.integers(0, 256))
    paper = (ink + int(rng.integers(100, 157))) % 256
    image = np.full((size, size, 3), paper, np.uint8)
    y, letters = 0.0, np.array(list('abcdefghijklmnopqrstuvwxyz0123456789    '))
    while y < size:
        scale = rng.uniform(0.3, 0.6) * size / 256 * (2.0 if rng.random() < 0.15 else 1.0)
        y += 34 * scale + 2
        line = ''.join(rng.choice(letters, 60))
        cv2.putText(
            image, line, (int(0.04 * size), int(y)), cv2.FONT_HERSHEY_SIMPLEX, scale, (ink,) * 3, 1, cv2.LINE_AA
        )
    return _grain(rng, image, 2)


def horizon(rng: np.random.Generator, size: int) -> np.ndarray:
    """A view from the ground: sky, skyline and a foreground that runs to a vanishing point."""
    level = int(rng.uniform(0.35, 0.65) * size)
    rows = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    sky = np.array([120, 165, 220]) * (1 - rows) + np.array([222, 226, 228]) * rows
    ground = np.array(_color(rng)) * 0.5 + np.array([50, 55, 40])
    image = np.where(np.arange(size)[:, None, None] < level, sky, ground * (0.6 + 0.5 * rows)) * np.ones((1, size, 1))
    image = np.ascontiguousarray(image.astype(np.uint8))
    for x in np.arange(0, size, 0.09 * size):
        top = int(level - rng.uniform(0.03, 0.3) * size)
        cv2.rectangle(image, (int(x), top), (int(x + rng.uniform(0.05, 0.12) * size), level), _color(rng), -1)
    vanish = int(rng.uniform(0.3, 0.7) * size)
    road = np.array(
        [(vanish, level), (int(rng.uniform(-0.2, 0.3) * size), size), (int(rng.uniform(0.7, 1.2) * size), size)],
        np.int32,
    )
    cv2.fillPoly(image, [road], (96, 96, 98))
    cv2.line(image, (vanish, level), (size // 2, size), (220, 220, 210), max(1, size // 100))
    return _grain(rng, image, 6)


def still_life(rng: np.random.Generator, size: int) -> np.ndarray:
    """A few large shaded round things before a smooth background, like a product picture."""
    image = np.empty((size, size, 3), np.float32)
    image[:] = _color(rng)
    image += np.linspace(0, rng.uniform(-80, 80), size, dtype=np.float32)[:, None, None]
    image = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(1, 5)):
        (x, y), radius, color = rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0.1, 0.32) * size, np.array(_color(rng))
        for step in np.linspace(0, 1, 14):
            disc = ellipse(radius * (1 - 0.8 * step), x=x - 0.3 * step * radius, y=y - 0.3 * step * radius)
            cv2.fillPoly(image, [disc.astype(np.int32)], (color * (0.6 + 0.5 * step)).clip(0, 255).tolist())
    return _grain(rng, image, 3)


def pure_noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Grain alone, fine or coarse, gray or colored."""
    channels = 1 if rng.random() < 0.5 else 3
    layers = [smooth_noise(rng, size, int(size / rng.uniform(1, 8))) for _ in range(channels)]
    image = 128 + rng.uniform(30, 70) * np.stack(layers, 2) * np.ones((1, 1, 3), np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def weave(rng: np.random.Generator, size: int) -> np.ndarray:
    """A regular pattern such as cloth, bricks or a chart."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 40)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    pattern = np.sin(u * 2 * np.pi / period) * np.sin(v * 2 * np.pi / (period * rng.uniform(0.5, 2)))
    pattern = np.sign(pattern) if rng.random() < 0.5 else pattern
    first, second = np.array(_color(rng)), np.array(_color(rng))
    return _grain(rng, first + (second - first) * (0.5 + 0.5 * pattern[..., None]), 5)


OFF_DOMAIN = {
    'room': room,
    'text': text,
    'horizon': horizon,
    'still_life': still_life,
    'noise': pure_noise,
    'pattern': weave,
}

"""Drawing of rotated boxes on images."""
from collections.abc import Sequence

import cv2
import numpy as np

from s5_mm.scenes.detection import Readable

LONGEST = 4096
"""The longer side of an overview is at most this, in px."""

STRIP = 1024
"""Rows of an image that are read at a time."""

LINE = 26
"""Height of a line of the legend, in px."""


def overview(source: Readable, least: int = 1) -> tuple[np.ndarray, float]:
    """Reduce a large image to a picture, reading it strip by strip.

    Args:
        source: The image.
        least: The longer side of the picture is at least this: small images are enlarged.

    Returns:
        The picture, (h, w, 3), uint8, red, green, blue; and its scale, pixels of the picture for each pixel of the
        image along a side.
    """
    height, width = source.size
    scale = min(max(1.0, least / max(height, width)), LONGEST / max(height, width))
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    picture = np.zeros((*shape, 3), np.uint8)
    tops = np.linspace(0, shape[0], -(-height // STRIP) + 1).round().astype(int)
    for first, last in zip(tops[:-1], tops[1:], strict=True):
        if first == last:
            continue
        top, bottom = round(first / shape[0] * height), round(last / shape[0] * height)
        pixels, _ = source.read(top, 0, bottom - top, width)
        picture[first:last] = cv2.resize(np.ascontiguousarray(pixels), (shape[1], int(last - first)),
                                         interpolation=cv2.INTER_AREA)
    return picture, scale


def draw_boxes(picture: np.ndarray, polygons: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Draw the outlines of boxes.

    Args:
        picture: (H, W, 3), uint8.
        polygons: (N, 8), corners in px of the picture. Polygons that are not finite are skipped.
        colors: (N, 3), 0-255, in the picture's order of channels.

    Returns:
        A new picture.
    """
    drawn = np.ascontiguousarray(picture).copy()
    width = max(1, round(max(picture.shape[:2]) / 800))
    # In eighths of a pixel; coordinates far outside the picture would overflow.
    corners = np.clip(polygons, -1e5, 1e5).reshape(-1, 4, 2) * 8
    for polygon, color in zip(corners, colors, strict=True):
        if np.isfinite(polygon).all():
            cv2.polylines(drawn, [polygon.round().astype(np.int32)], True, [int(value) for value in color], width,
                          cv2.LINE_AA, shift=3)
    return drawn


def with_legend(picture: np.ndarray, entries: Sequence[tuple[str, Sequence[int]]]) -> np.ndarray:
    """Add a legend below a picture.

    Args:
        picture: (H, W, 3), uint8.
        entries: Texts and their colors.

    Returns:
        A picture of the same width, with the legend at the bottom.
    """
    texts = [(text, color, cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)[0][0] + 30)
             for text, color in entries]
    x, line, places = 6, 0, []
    for text, color, width in texts:
        if x > 6 and x + width > picture.shape[1]:
            x, line = 6, line + 1
        places.append((text, color, x, line * LINE))
        x += width
    bar = np.full(((line + 1) * LINE, picture.shape[1], 3), 255, np.uint8)
    for text, color, left, top in places:
        cv2.rectangle(bar, (left, top + 7), (left + 12, top + 19), [int(value) for value in color], -1)
        cv2.putText(bar, text, (left + 17, top + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([picture, bar])


def draw_classes(picture: np.ndarray, polygons: np.ndarray, labels: np.ndarray, classes: Sequence[str],
                 palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Draw boxes in the colors of their classes, with a legend of the classes that occur.

    Args:
        picture: (H, W, 3), uint8, red, green, blue.
        polygons: (N, 8), corners in px of the picture.
        labels: (N, ), indices of classes.
        classes: Names of the classes.
        palette: Red, green, blue of each class.
    """
    colors = np.array(palette).reshape(-1, 3)[:len(classes)]
    drawn = draw_boxes(picture, polygons, colors[labels])
    entries = [(f'{classes[label]} ({number})', colors[label])
               for label, number in zip(*np.unique(labels, return_counts=True), strict=True)]
    return with_legend(drawn, entries or [('nothing found', (255, 255, 255))])

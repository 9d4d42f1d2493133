"""A picture that puts predictions of several models side by side."""
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from s5_mm.files import replacing

GAP = 4
CAPTION = 22


def draw_comparison(image_dir: Path, label_dirs: dict[str, Path], palette: list[list[int]], out: Path,
                    names: list[str]) -> None:
    """Draw one row for each image: the image itself, then its label maps.

    Args:
        image_dir: Folder of images ``NAME.png``.
        label_dirs: Caption -> folder of id maps ``NAME.png`` (8 bit), e.g. truth and predictions.
        palette: RGB of the classes; ids beyond it are drawn white.
        out: PNG file to write.
        names: Images to show, without suffix; all of one size.

    Raises:
        FileNotFoundError: An image or id map is missing.
    """
    colors = np.full((256, 3), 255, dtype=np.uint8)
    colors[:len(palette)] = palette
    columns = {'image': [np.asarray(Image.open(image_dir / f'{name}.png').convert('RGB')) for name in names]}
    for caption, folder in label_dirs.items():
        columns[caption] = [colors[np.asarray(Image.open(folder / f'{name}.png'))] for name in names]
    scale = max(1, 160 // columns['image'][0].shape[1] + 1)
    drawn = [_column(caption, tiles, scale) for caption, tiles in columns.items()]
    with replacing(out) as temporary:
        Image.fromarray(np.hstack(drawn)).save(temporary, format='PNG')


def _column(caption: str, tiles: list[np.ndarray], scale: int) -> np.ndarray:
    """Tiles below each other under a caption, enlarged by ``scale``."""
    tiles = [np.repeat(np.repeat(tile, scale, axis=0), scale, axis=1) for tile in tiles]
    tiles = [np.pad(tile, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for tile in tiles]
    strip = np.full((CAPTION, tiles[0].shape[1], 3), 255, dtype=np.uint8)
    cv2.putText(strip, caption, (2, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([strip, *tiles])

"""Files that are complete or absent, and settings that must not change under a dataset."""

import json
import os
import time
from pathlib import Path

import cv2
import numpy as np

SETTINGS_NAME = 'synthetic.json'
LARGEST_AGE = 60.0  # seconds; a temporary file exists for a moment, so that an older one is of a killed process


def write_bytes(path: Path, content: bytes) -> None:
    """Writes under a temporary name and renames, so that a file that exists is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.{os.getpid()}.part')
    partial.write_bytes(content)
    os.replace(partial, path)


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files of :func:`write_bytes` that killed processes left in a folder and below it."""
    for part in folder.rglob('.*.part'):
        try:
            if time.time() - part.stat().st_mtime > LARGEST_AGE:
                part.unlink()
        except FileNotFoundError:  # the process that wrote it lives and has renamed it
            continue


def write_image(path: Path, image: np.ndarray, jpeg_quality: int = 95) -> None:
    """Writes (H, W, 3) uint8 RGB, or (H, W) uint8, as PNG or JPEG, by suffix.

    Raises:
        OSError: If OpenCV cannot encode the picture.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if path.suffix == '.jpg' else [cv2.IMWRITE_PNG_COMPRESSION, 3]
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, content = cv2.imencode(path.suffix, stored, options)
    if not done:
        raise OSError(f'cannot encode {path} ({image.shape}, {image.dtype})')
    write_bytes(path, content.tobytes())


def write_geotiff(path: Path, image: np.ndarray, gsd: float) -> None:
    """Writes (H, W, C) or (H, W) as a georeferenced TIFF, ``gsd`` meters a pixel."""
    import rasterio  # slow to import, and few formats need it

    bands = np.moveaxis(image, -1, 0) if image.ndim == 3 else image[None]
    profile = {
        'driver': 'GTiff',
        'count': len(bands),
        'height': image.shape[0],
        'width': image.shape[1],
        'dtype': image.dtype,
        'compress': 'lzw',
        'crs': 'EPSG:32633',
        'transform': rasterio.Affine(gsd, 0.0, 368000.0, 0.0, -gsd, 5808000.0),
    }
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile) as file:
            file.write(bands)
        write_bytes(path, memory.read())


def keep_settings(folder: Path, settings: dict) -> None:
    """Stores the settings of a dataset, or checks that a second run has the same; removes what killed runs left.

    Raises:
        ValueError: If the folder was made with other settings, or holds files of another origin.
    """
    path = folder / SETTINGS_NAME
    remove_leftovers(folder)
    settings = json.loads(json.dumps(settings))
    if path.exists():
        from s5_mm.files import read_json  # takes seconds to import, which --help should not

        found = read_json(path)
        changed = [
            f'{key}: {found.get(key)!r} there, {settings.get(key)!r} now'
            for key in sorted(found.keys() | settings.keys())
            if found.get(key) != settings.get(key)
        ]
        if changed:
            raise ValueError(
                f'{folder} was made with other settings ({"; ".join(changed)}); '
                'repeat these to resume it, or choose another folder'
            )
        return
    if folder.exists() and (not folder.is_dir() or any(file.suffix != '.part' for file in folder.iterdir())):
        raise ValueError(
            f'{folder} is not empty and has no {SETTINGS_NAME}, so it was not made by this command; '
            'choose another folder'
        )
    write_bytes(path, (json.dumps(settings, indent=2) + '\n').encode())

"""iSAID on disk: an image and two masks, in the naming of the iSAID development kit."""

from pathlib import Path

import numpy as np

from ..classes import CLASS_ID, SCENE_CLASSES
from ..files import write_image
from ..render import Picture
from ..sampling import Sample
from .base import Format

# Color (RGB) of each scene class; land cover is iSAID's black background.
ISAID_COLORS = {
    'ship': (0, 0, 63),
    'storage_tank': (0, 63, 63),
    'baseball_diamond': (0, 63, 0),
    'tennis_court': (0, 63, 127),
    'basketball_court': (0, 63, 191),
    'ground_track_field': (0, 63, 255),
    'bridge': (0, 127, 63),
    'large_vehicle': (0, 127, 127),
    'small_vehicle': (0, 0, 127),
    'helicopter': (0, 0, 191),
    'swimming_pool': (0, 0, 255),
    'roundabout': (0, 191, 127),
    'soccer_field': (0, 127, 191),
    'plane': (0, 127, 255),
    'harbor': (0, 100, 155),
}
_TABLE = np.zeros((len(SCENE_CLASSES), 3), np.uint8)
for _name, _color in ISAID_COLORS.items():
    _TABLE[CLASS_ID[_name]] = _color


def instance_colors(count: int) -> np.ndarray:
    """Distinct colors (count + 1, 3) uint8 for object numbers: 0 is black, channels are multiples of 5 as in iSAID.

    Raises:
        ValueError: If there are more objects than such colors.
    """
    if count >= 51**3:
        raise ValueError(f'{count} objects in one image; instance masks have room for {51**3 - 1}')
    code = np.arange(count + 1) * 7919 % 51**3  # coprime with 51**3, so all codes differ
    return (np.stack([code // 51**2, code // 51 % 51, code % 51], 1) * 5).astype(np.uint8)


def isaid_path(folder: Path, sample: Sample) -> Path:
    """Image file of a sample."""
    return folder / sample.split / 'images' / f'P{sample.number:04d}.png'


def write_isaid(picture: Picture, folder: Path, sample: Sample) -> None:
    """Writes the two masks and the image."""
    image = isaid_path(folder, sample)
    write_image(image.with_stem(f'{image.stem}_instance_color_RGB'), _TABLE[picture.classes])
    colors = instance_colors(int(picture.instances.max()))
    write_image(image.with_stem(f'{image.stem}_instance_id_RGB'), colors[picture.instances])
    write_image(image, picture.image)


ISAID_FORMAT = Format(
    title='iSAID',
    layout='OUT/{train,val}/images with color-coded masks, the layout of iSAID',
    image_path=isaid_path,
    write=write_isaid,
    salt=0,
    counts={'train': 40, 'val': 40},
)

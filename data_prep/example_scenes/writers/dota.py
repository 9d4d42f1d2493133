"""DOTA on disk: PNG images and a text file of polygons for each; the test split has no labels."""

from pathlib import Path

from ..classes import OBJECTS
from ..files import write_bytes, write_image
from ..render import Picture
from ..sampling import Sample
from .base import Format
from .objects import LabeledBox, class_names, labeled_boxes

# DOTA has all object classes of the scenes, under names of its own.
NAMES = class_names(
    {name.replace('_', '-').replace('soccer-field', 'soccer-ball-field'): name for name in OBJECTS}, OBJECTS
)
SPLITS = ('train', 'val', 'test')


def dota_path(folder: Path, sample: Sample) -> Path:
    """Image file of a sample; numbers run through all splits."""
    number = len(SPLITS) * sample.number + SPLITS.index(sample.split)
    return folder / sample.split / 'images' / f'P{number:04d}.png'


def write_dota(picture: Picture, folder: Path, sample: Sample) -> None:
    """Writes the image and, except for the test split, the label."""
    image = dota_path(folder, sample)
    if sample.split != 'test':
        lines = ['imagesource:synthetic', f'gsd:{picture.gsd:.6f}', *map(_line, labeled_boxes(picture, NAMES))]
        text = ''.join(f'{line}\n' for line in lines)
        write_bytes(folder / sample.split / 'labelTxt' / f'{image.stem}.txt', text.encode())
    write_image(image, picture.image)


def _line(box: LabeledBox) -> str:
    return ' '.join(f'{value:.1f}' for value in box.corners.ravel()) + f' {box.name} {int(box.difficult)}'


DOTA_FORMAT = Format(
    title='DOTA',
    layout='OUT/{train,val,test}/images and labelTxt (corners, class, difficulty), the layout of DOTA',
    image_path=dota_path,
    write=write_dota,
    salt=6,
    counts={'train': 40, 'val': 20, 'test': 10},
    size=1024,
)

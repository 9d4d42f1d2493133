"""DIOR-R on disk: JPEG images, XML with the corners of rotated boxes in whole pixels, and the lists of the splits."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from ..classes import OBJECTS
from ..files import write_bytes, write_image
from ..render import Picture
from ..sampling import Sample
from .base import Format
from .objects import LabeledBox, class_names, labeled_boxes

NAMES = class_names(
    {
        'airplane': 'plane',
        'baseballfield': 'baseball_diamond',
        'basketballcourt': 'basketball_court',
        'bridge': 'bridge',
        'groundtrackfield': 'ground_track_field',
        'harbor': 'harbor',
        'ship': 'ship',
        'storagetank': 'storage_tank',
        'tenniscourt': 'tennis_court',
        'vehicle': 'small_vehicle large_vehicle',
    },
    OBJECTS,
)
SPLITS = ('train', 'val', 'test')
FIRST_TEST = 11726  # the number of the first test image; train and val share those before
LABELS = 'Annotations/Oriented Bounding Boxes'


def dior_r_name(sample: Sample) -> str:
    """Name of an image without its suffix."""
    first, step = {'train': (1, 2), 'val': (2, 2), 'test': (FIRST_TEST, 1)}[sample.split]
    return f'{first + step * sample.number:05d}'


def dior_r_path(folder: Path, sample: Sample) -> Path:
    """Image file of a sample."""
    part = 'test' if sample.split == 'test' else 'trainval'
    return folder / f'JPEGImages-{part}' / f'{dior_r_name(sample)}.jpg'


def write_dior_r(picture: Picture, folder: Path, sample: Sample) -> None:
    """Writes the label and the image."""
    image = dior_r_path(folder, sample)
    root = Element('annotation')
    _add(root, filename=image.name)
    height, width, depth = picture.image.shape
    _add(SubElement(root, 'size'), width=width, height=height, depth=depth)
    for box in labeled_boxes(picture, NAMES):
        _add_object(root, box)
    indent(root, '    ')
    write_bytes(folder / LABELS / f'{image.stem}.xml', tostring(root, 'UTF-8'))
    write_image(image, picture.image)


def _add(parent: Element, **texts: object) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = str(text)


def _add_object(root: Element, box: LabeledBox) -> None:
    element = SubElement(root, 'object')
    _add(element, type='robndbox', name=box.name, truncated=int(box.truncated), difficult=int(box.difficult))
    corners = SubElement(element, 'robndbox')
    names = ('left_top', 'right_top', 'right_bottom', 'left_bottom')
    for name, (x, y) in zip(names, np.rint(box.corners).astype(int).tolist(), strict=True):
        _add(corners, **{f'x_{name}': x, f'y_{name}': y})


def write_dior_r_lists(folder: Path, samples: Sequence[Sample]) -> None:
    """Writes ``ImageSets/Main/{train,val,test}.txt``, one name a line."""
    for split in SPLITS:
        names = sorted(dior_r_name(sample) for sample in samples if sample.split == split)
        write_bytes(folder / 'ImageSets/Main' / f'{split}.txt', ''.join(f'{name}\n' for name in names).encode())


DIOR_R_FORMAT = Format(
    title='DIOR-R',
    layout='OUT/JPEGImages-{trainval,test}, OUT/Annotations/Oriented Bounding Boxes (XML), OUT/ImageSets/Main, the '
    'layout of DIOR-R',
    image_path=dior_r_path,
    write=write_dior_r,
    salt=5,
    counts={'train': 40, 'val': 20, 'test': 40},
    limits={'train': 5862, 'val': 5863, 'test': 11738},
    size=800,
    write_lists=write_dior_r_lists,
)

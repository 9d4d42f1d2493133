"""Search for the images and labels of each split in a DOTA download."""
import re
from collections.abc import Mapping, Sequence

from data_prep.downloads import File, PreparationError
from data_prep.preparing import Source

SUFFIXES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp')
SPLITS = ('train', 'val', 'trainval', 'test', 'test-challenge')
LABELED = ('train', 'val', 'trainval')
FILE = r'^(?P<folder>.*/)?(?P<name>[^/.][^/]*)(?P<suffix>\.\w+)$'
SPLIT = r'(?<![a-z])(trainval|train|val|test(?:[-_]?(?:challenge|dev))?)(?![a-z])'
VERSION = r'v(\d\.\d)'
OTHER_LABELS = r'hbb|reclabel'


def find_sources(files: Sequence[tuple[str, File]], version: str) -> list[Source]:
    """Pair images with labels, by split and sorted by name.

    Args:
        files: See :func:`data_prep.downloads.list_files`.
        version: Version of the labels.

    Raises:
        PreparationError: There is no image, an image's name is like that of a patch, or labels are missing.
    """
    images, labels = images_and_labels(files)
    if not images:
        raise PreparationError('found no image below a folder named train, val or test; --help shows the layout')
    wrong = [str(images[key]) for key in images if '__' in key[1]]
    if wrong:
        raise PreparationError(f'{len(wrong)} images have "__" in their name, which marks patches, e.g. {wrong[0]}; '
                               'SRC must hold the whole images')
    chosen = {key: label for key in images if (label := _of_version(labels.get(key, ()), version))}
    _require_labels(images, chosen, labels, version)
    return [Source(*key, images[key], chosen.get(key))
            for key in sorted(images, key=lambda key: (SPLITS.index(key[0]), key[1]))]


def images_and_labels(
        files: Sequence[tuple[str, File]]) -> tuple[dict[tuple[str, str], File], dict[tuple[str, str], list]]:
    """Two tables: (split, name) -> the image, and -> folder and file of its labels of all versions."""
    images: dict[tuple[str, str], File] = {}
    labels: dict[tuple[str, str], list[tuple[str, File]]] = {}
    for where, file in files:
        place = re.match(FILE, where)
        splits = re.findall(SPLIT, (place['folder'] or '').lower()) if place else []
        if not splits:
            continue
        key = (_split_name(splits[-1]), place['name'])
        if place['suffix'].lower() in SUFFIXES:
            images.setdefault(key, file)
        elif place['suffix'] == '.txt' and not re.search(OTHER_LABELS, place['folder'].lower()):
            labels.setdefault(key, []).append((place['folder'], file))
    return images, labels


def _split_name(found: str) -> str:
    if not found.startswith('test'):
        return found
    return 'test-challenge' if found.endswith('challenge') else 'test'


def _of_version(labels: Sequence[tuple[str, File]], version: str) -> File | None:
    """The label that is marked with the version, otherwise one without a mark."""
    marks = [(re.findall(VERSION, folder.lower()), file) for folder, file in labels]
    return next((file for found, file in marks if found and f'v{found[-1]}' == version),
                next((file for found, file in marks if not found), None))


def _require_labels(images: Mapping, chosen: Mapping, labels: Mapping, version: str) -> None:
    for split in LABELED:
        lost = [key for key in images if key[0] == split and key not in chosen]
        if lost:
            others = sum(key in labels for key in lost)
            more = f'; {others} have labels of other versions, see --version' if others else ''
            raise PreparationError(f'{len(lost)} images of {split} have no label file of {version}, e.g. '
                                   f'{images[lost[0]]}{more}; an image without objects has an empty one')


def lonely_labels(files: Sequence[tuple[str, File]]) -> dict[str, list[str]]:
    """Labels without an image: split -> their names, for splits that have images.

    Args:
        files: See :func:`data_prep.downloads.list_files`.
    """
    images, labels = images_and_labels(files)
    lonely: dict[str, list[str]] = {}
    for split, name in sorted(labels.keys() - images.keys()):
        if any(key[0] == split for key in images):
            lonely.setdefault(split, []).append(name)
    return lonely

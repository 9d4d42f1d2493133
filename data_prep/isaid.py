"""Cut the official iSAID download into crops and id masks.

iSAID is published as whole images (https://captain-whu.github.io/iSAID). Their masks have a color for each of 15
classes and black for background. Models train on 512 px crops: an image is divided into 1024 px patches that overlap
by 200 px, and each patch into four crops. Training patches without objects are left out.

Source, in the layout of the development kit or of the unpacked official archives:

    SRC/train/images/P0000.png and SRC/train/images/P0000_instance_color_RGB.png
    SRC/train/images/images/P0000.png and SRC/train/Semantic_masks/images/P0000_instance_color_RGB.png

the same for val, and test/ without masks. Output, with id masks of 8 bits (0-15 in the order of mmseg's iSAID
classes, 255 = padding around images that are smaller than a patch):

    OUT/img_dir/{train,val,test}/NAME.png and OUT/ann_dir/{train,val}/NAME.png

NAME is P0000_PATCHTOP_PATCHLEFT_CROPTOP_CROPLEFT, in pixels, the last two within the patch. A stopped run
resumes when the same command is repeated.
"""
import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep import preparing
from data_prep.downloads import File, PreparationError, decode_color, open_image
from data_prep.preparing import STRIP_ROWS, Source

__all__ = ['STRIP_ROWS', 'PreparationError', 'Settings', 'colors_to_ids', 'compare_with_published', 'cut', 'prepare']

SPLITS = ('train', 'val', 'test')
LABELED = ('train', 'val')
COLOR_SUFFIX = '_instance_color_RGB.png'
DERIVED_SUFFIXES = (COLOR_SUFFIX, '_instance_id_RGB.png')
PADDING = 255
# Split -> number of official images, and of crops in the published training (four of each 1024 px patch).
PUBLISHED = {'train': (1411, 38936), 'val': (458, 21188)}


@dataclass(frozen=True)
class Settings:
    """Settings of the crops, stored in ``OUT/isaid_settings.json``; lengths in pixels."""

    patch: int = 1024
    gap: int = 200
    crop: int = 512
    keep_empty: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.crop <= self.patch:
            raise PreparationError(f'--crop is {self.crop}; it must be 1..{self.patch}, the size of a patch')
        if not 0 <= self.gap < self.patch:
            raise PreparationError(f'--gap is {self.gap}; it must be 0..{self.patch - 1}, below the size of a patch')


def colors_to_ids(rgb: np.ndarray, palette: Sequence[Sequence[int]], name: str = 'mask') -> np.ndarray:
    """Translate a color mask to class ids, see :func:`data_prep.preparing.colors_to_ids`."""
    return preparing.colors_to_ids(
        rgb, palette, name, f'use the official *{COLOR_SUFFIX} files, which are neither resized nor saved as JPEG')


def cut(image: np.ndarray, ids: np.ndarray | None, settings: Settings,
        drop_empty: bool) -> Iterator[tuple[tuple[int, int, int, int], np.ndarray, np.ndarray | None]]:
    """Divide an image into patches, and patches into crops.

    Args:
        image: (H, W, 3), uint8.
        ids: (H, W), uint8, or None for an image without labels.
        settings: Sizes.
        drop_empty: Whether to leave out patches that show background only.

    Yields:
        (patch top, patch left, crop top, crop left) in pixels, the latter two relative to the patch; the crop's image,
        with black padding; its ids, with 255 as padding.
    """
    from s5_mm.tiling import windows  # takes seconds to import, which --help should not

    side, crop = settings.patch, settings.crop
    for top, left, *_ in windows(image.shape[:2], side, side - settings.gap):
        patch_ids = None if ids is None else _padded(ids[top:top + side, left:left + side], side, PADDING)
        if drop_empty and patch_ids is not None and not ((patch_ids > 0) & (patch_ids != PADDING)).any():
            continue
        patch = _padded(image[top:top + side, left:left + side], side, 0)
        for y, x, *_ in windows((side, side), crop, crop):
            yield ((top, left, y, x), patch[y:y + crop, x:x + crop],
                   None if patch_ids is None else patch_ids[y:y + crop, x:x + crop])


def _padded(array: np.ndarray, side: int, value: int) -> np.ndarray:
    missing = [(0, side - length) for length in array.shape[:2]] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, missing, constant_values=value)


def find_sources(root: Path, splits: Sequence[str] | None = None) -> list[Source]:
    """List and check the images of a download.

    Args:
        root: The download's folder.
        splits: Splits that must exist; None: all that exist.

    Returns:
        The images by split, sorted by name.

    Raises:
        PreparationError: A folder or split is missing, there is no image, an image has no mask, a header is damaged, or
            the sizes of image and mask differ.
    """
    if not root.is_dir():
        raise PreparationError(f'the source folder {root} does not exist')
    found = [split for split in (splits or SPLITS) if (root / split).is_dir()]
    absent = [split for split in splits or () if split not in found]
    if absent or not found:
        raise PreparationError(f'{root} has no folder {", ".join(absent) or " or ".join(SPLITS)}; expected '
                               f'{root}/{(absent or SPLITS)[0]}/images/P0000.png ..., see --help')
    sources = [source for split in found for source in _sources_of_split(root / split, split)]
    for source in tqdm(sources, desc='checking sizes', unit='image', disable=None):
        _check_sizes(source)
    return sources


def _sources_of_split(folder: Path, split: str) -> list[Source]:
    nested, flat = folder / 'images' / 'images', folder / 'images'
    image_folder = nested if nested.is_dir() else flat
    images = sorted(path for path in image_folder.glob('*.png') if not path.name.endswith(DERIVED_SUFFIXES))
    if not images:
        raise PreparationError(f'found no image *.png in {image_folder}')
    if split not in LABELED:
        return [Source(split, image.stem, File(image)) for image in images]
    mask_folders = (folder / 'Semantic_masks' / 'images', image_folder)
    masks = {path.name: path for folder in reversed(mask_folders) for path in folder.glob(f'*{COLOR_SUFFIX}')}
    lost = [image.name for image in images if image.stem + COLOR_SUFFIX not in masks]
    if lost:
        raise PreparationError(f'{len(lost)} of {len(images)} images of {split} have no mask *{COLOR_SUFFIX} in '
                               f'{" or ".join(map(str, mask_folders))}: {", ".join(lost[:3])}')
    return [Source(split, image.stem, File(image), File(masks[image.stem + COLOR_SUFFIX])) for image in images]


def _check_sizes(source: Source) -> None:
    sizes = []
    for file in filter(None, (source.image, source.mask)):
        with open_image(file) as image:
            sizes.append(image.size[::-1])
    if source.mask:
        preparing.require_equal_sizes(source.image, sizes[0], source.mask, sizes[1])


def prepare_image(source: Source, out: Path, settings: Settings, palette: Sequence[Sequence[int]]) -> dict:
    """Write the crops of one image.

    Args:
        source: The image.
        out: Output folder.
        settings: Sizes.
        palette: Colors of the classes.

    Returns:
        The record: ``files`` written, ``padding`` (number of crops that show padding only).

    Raises:
        PreparationError: A file is damaged or has an unknown color.
    """
    image = decode_color(source.image)
    ids = source.mask and colors_to_ids(decode_color(source.mask), palette, str(source.mask))
    record = {'files': [], 'padding': 0}
    for position, crop, crop_ids in cut(image, ids, settings, source.split == 'train' and not settings.keep_empty):
        name = '_'.join([source.name, *map(str, position)])
        record['files'] += preparing.save_pair(out, source.split, name, crop, crop_ids)
        record['padding'] += crop_ids is not None and bool((crop_ids == PADDING).all())
    return record


def prepare(root: Path, out: Path, settings: Settings, splits: Sequence[str] | None = None,
            workers: int = 1) -> dict[str, dict[str, int]]:
    """Cut a download, or the part that an earlier run has not done.

    Args:
        root: The download's folder.
        out: Output folder.
        settings: Sizes.
        splits: Splits to cut; None: all that exist.
        workers: Processes.

    Returns:
        For each split in ``out`` the numbers of ``images``, ``crops``, and crops that show ``padding`` only.

    Raises:
        PreparationError: See :func:`find_sources`, :func:`data_prep.preparing.resuming` and
            :func:`prepare_image`.
    """
    sources = find_sources(root, splits)
    work = partial(prepare_image, out=out, settings=settings, palette=class_palette())
    with preparing.resuming(out / 'isaid_settings.json', asdict(settings)):
        preparing.prepare_all(sources, out, work, workers)
        records = preparing.stored_records(out)
    counts = preparing.count(records)
    return {split: {'images': counts[split]['images'], 'crops': counts[split]['samples'],
                    'padding': sum(record['padding'] for key, record in records.items() if key[0] == split)}
            for split in SPLITS if split in counts}


def class_palette() -> list[list[int]]:
    """The 16 colors of iSAID (red, green, blue) in the order of the class ids, from mmseg."""
    from mmseg.datasets import iSAIDDataset  # takes seconds to import, which --help should not

    return iSAIDDataset.METAINFO['palette']


def compare_with_published(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Compare the numbers of crops with the published ones, for splits that have all official images.

    Args:
        counts: See :func:`prepare`.

    Returns:
        A line for each split that can be compared.
    """
    lines = []
    for split, (images, crops) in PUBLISHED.items():
        found = counts.get(split)
        if found and found['images'] == images:
            verdict = 'as published' if found['crops'] == crops else f'WHICH DIFFERS from the published {crops:,}'
            lines.append(f'{split}: {found["crops"]:,} crops of all {images:,} official images, {verdict}')
    return lines


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = preparing.command_line(
        __doc__, 'folder of the download, with train/, val/, test/', 'output folder, e.g. data/isaid')
    parser.add_argument('--splits', nargs='+', choices=SPLITS, help='splits to cut (default: all that exist)')
    parser.add_argument('--patch', type=int, default=1024, help='side of a patch in pixels (default: %(default)s)')
    parser.add_argument('--gap', type=int, default=200, help='overlap of patches in pixels (default: %(default)s)')
    parser.add_argument('--crop', type=int, default=512,
                        help='side of a crop in pixels; as --patch: patches are not divided (default: %(default)s)')
    parser.add_argument('--keep-empty', action='store_true', help='keep training patches that show background only')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, see the module and ``--help``."""
    args = parse_args(argv)
    preparing.report(partial(_run, args), 'isaid')


def _run(args: argparse.Namespace) -> list[str]:
    settings = Settings(args.patch, args.gap, args.crop, args.keep_empty)
    counts = prepare(args.source, args.out, settings, args.splits, args.workers)
    lines = [f'{split}: {numbers["images"]:,} images, {numbers["crops"]:,} crops in {args.out}/img_dir/{split}'
             f' ({numbers["padding"]:,} of padding only)' for split, numbers in counts.items()]
    return lines + preparing.none_found(counts, args.splits or SPLITS) + compare_with_published(counts)


if __name__ == '__main__':
    main()

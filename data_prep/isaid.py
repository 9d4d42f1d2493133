"""Cut the official iSAID download into crops and id masks.

iSAID is published as whole images (https://captain-whu.github.io/iSAID) whose masks hold a colour for each of 15
classes and black for background. Models train on 512 px crops: images are divided into 1024 px patches which overlap
by 200 px, each patch into four crops, and training patches without any object are left out.

Source, as in the development kit or with the official archives unpacked as they are:

    SRC/train/images/P0000.png and SRC/train/images/P0000_instance_color_RGB.png
    SRC/train/images/images/P0000.png and SRC/train/Semantic_masks/images/P0000_instance_color_RGB.png

the same for val, and test/ with images alone. Output, with id masks of 8 bits (0-15 in the order of mmseg's iSAID
classes, 255 = padding around images that are smaller than a patch):

    OUT/img_dir/{train,val,test}/NAME.png and OUT/ann_dir/{train,val}/NAME.png

NAME is P0000_PATCHTOP_PATCHLEFT_CROPTOP_CROPLEFT, in pixels, the last two within the patch. A run that was stopped
goes on where it was when the same command is given again.
"""
import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

SPLITS = ('train', 'val', 'test')
LABELED = ('train', 'val')
COLOUR_SUFFIX = '_instance_color_RGB.png'
DERIVED_SUFFIXES = (COLOUR_SUFFIX, '_instance_id_RGB.png')
PADDING = 255
UNKNOWN = 254
STRIP_ROWS = 1024
# Source images of the official split -> crops of the published training (four of each 1024 px patch).
PUBLISHED = {'train': (1411, 38936), 'val': (458, 21188)}


class PreparationError(ValueError):
    """What the user must put right; its text is shown without a traceback."""


@dataclass(frozen=True)
class Settings:
    """What decides which crops come out, kept in ``OUT/isaid_settings.json``; lengths in pixels."""

    patch: int = 1024
    gap: int = 200
    crop: int = 512
    keep_empty: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.crop <= self.patch:
            raise PreparationError(f'--crop is {self.crop}; it must be 1..{self.patch}, the size of a patch')
        if not 0 <= self.gap < self.patch:
            raise PreparationError(f'--gap is {self.gap}; it must be 0..{self.patch - 1}, below the size of a patch')


@dataclass(frozen=True)
class Source:
    """One image of a split, with its colour mask unless the split has none."""

    split: str
    image: Path
    mask: Path | None


def window_starts(length: int, size: int, stride: int) -> list[int]:
    """Where windows start along one side; the last is moved inside the image.

    Args:
        length: Pixels of the image.
        size: Pixels of a window.
        stride: Pixels from one window to the next, at least 1.

    Returns:
        Rising starts; ``[0]`` where the image is not larger than a window.
    """
    return [0] if length <= size else [*range(0, length - size, stride), length - size]


@cache
def _colour_table(palette: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Class id of each 24-bit colour; a full table makes the conversion one look-up a pixel."""
    table = np.full(1 << 24, UNKNOWN, np.uint8)
    for class_id, (red, green, blue) in enumerate(palette):
        table[red << 16 | green << 8 | blue] = class_id
    return table


def colours_to_ids(rgb: np.ndarray, palette: Sequence[Sequence[int]], name: str = 'mask') -> np.ndarray:
    """Translate a colour mask to class ids.

    Args:
        rgb: (H, W, 3), uint8, red, green, blue.
        palette: K colours, that of id 0 first, K below 254.
        name: The mask's file, for the message.

    Returns:
        (H, W), uint8, 0 ... K-1.

    Raises:
        PreparationError: A colour outside the palette; names the first pixel that has it.
    """
    table = _colour_table(tuple(tuple(colour) for colour in palette))
    ids = np.empty(rgb.shape[:2], np.uint8)
    for top in range(0, len(rgb), STRIP_ROWS):
        strip = rgb[top:top + STRIP_ROWS].astype(np.int32)
        ids[top:top + STRIP_ROWS] = table[strip[..., 0] << 16 | strip[..., 1] << 8 | strip[..., 2]]
    unknown = ids == UNKNOWN
    if unknown.any():
        row, column = np.unravel_index(unknown.argmax(), unknown.shape)
        colour = tuple(int(value) for value in rgb[row, column])
        raise PreparationError(
            f'{name} has the unknown colour {colour} (red, green, blue) at row {row}, column {column}, and '
            f'{int(unknown.sum())} pixels outside the {len(palette)} colours of iSAID in all; use the official '
            f'*{COLOUR_SUFFIX} files, which are neither resized nor saved as JPEG')
    return ids


def cut(image: np.ndarray, ids: np.ndarray | None, settings: Settings,
        drop_empty: bool) -> Iterator[tuple[tuple[int, int, int, int], np.ndarray, np.ndarray | None]]:
    """Divide an image into patches and those into crops.

    Args:
        image: (H, W, 3), uint8.
        ids: (H, W), uint8, or None without labels.
        settings: Sizes.
        drop_empty: Leave out patches that show background alone.

    Yields:
        (patch top, patch left, crop top, crop left) in pixels, the latter two within the patch; the crop's image, black
        where padded; its ids, 255 where padded.
    """
    side, crop = settings.patch, settings.crop
    inner = window_starts(side, crop, crop)
    for top in window_starts(image.shape[0], side, side - settings.gap):
        for left in window_starts(image.shape[1], side, side - settings.gap):
            patch_ids = None if ids is None else _padded(ids[top:top + side, left:left + side], side, PADDING)
            if drop_empty and patch_ids is not None and not ((patch_ids > 0) & (patch_ids != PADDING)).any():
                continue
            patch = _padded(image[top:top + side, left:left + side], side, 0)
            for y in inner:
                for x in inner:
                    yield ((top, left, y, x), patch[y:y + crop, x:x + crop],
                           None if patch_ids is None else patch_ids[y:y + crop, x:x + crop])


def _padded(array: np.ndarray, side: int, value: int) -> np.ndarray:
    missing = [(0, side - length) for length in array.shape[:2]] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, missing, constant_values=value)


def find_sources(root: Path, splits: Sequence[str] | None = None) -> list[Source]:
    """List and check the images of a download.

    Args:
        root: The download's folder.
        splits: Splits that must be there; None takes those that are.

    Returns:
        The images by split, sorted by name.

    Raises:
        PreparationError: Folder or split missing, no image, images without mask, a damaged header, or sizes of image
            and mask that differ.
    """
    if not root.is_dir():
        raise PreparationError(f'the source folder {root} does not exist')
    found = [split for split in (splits or SPLITS) if (root / split).is_dir()]
    absent = [split for split in splits or () if split not in found]
    if absent or not found:
        raise PreparationError(f'{root} has no folder {", ".join(absent) or " or ".join(SPLITS)}; expected '
                               f'{root}/{(absent or SPLITS)[0]}/images/P0000.png and so on, see --help')
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
        return [Source(split, image, None) for image in images]
    mask_folders = (folder / 'Semantic_masks' / 'images', image_folder)
    masks = {path.name: path for folder in reversed(mask_folders) for path in folder.glob(f'*{COLOUR_SUFFIX}')}
    lost = [image.name for image in images if image.stem + COLOUR_SUFFIX not in masks]
    if lost:
        raise PreparationError(f'{len(lost)} of {len(images)} images of {split} have no mask *{COLOUR_SUFFIX} in '
                               f'{" or ".join(map(str, mask_folders))}: {", ".join(lost[:3])}')
    return [Source(split, image, masks[image.stem + COLOUR_SUFFIX]) for image in images]


def _check_sizes(source: Source) -> None:
    sizes = []
    for path in filter(None, (source.image, source.mask)):
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
        except OSError as error:
            raise PreparationError(f'cannot read {path}: {error}; fetch it again') from error
    if len(set(sizes)) > 1:
        raise PreparationError(f'{source.image} is {sizes[0][0]} x {sizes[0][1]} pixels but its mask {source.mask} is '
                               f'{sizes[1][0]} x {sizes[1][1]}; they must be equal')


def prepare_image(source: Source, out: Path, settings: Settings, palette: Sequence[Sequence[int]]) -> dict:
    """Write the crops of one image, then the record that says they are complete.

    Args:
        source: The image.
        out: Output folder, which has its subfolders already.
        settings: Sizes.
        palette: Colours of the classes.

    Returns:
        The record: ``crops`` (names), ``padding`` (how many of them show padding alone).

    Raises:
        PreparationError: A damaged file or an unknown colour.
    """
    image = _decode(source.image)
    ids = None if source.mask is None else colours_to_ids(_decode(source.mask), palette, str(source.mask))
    record = {'crops': [], 'padding': 0}
    for position, crop, crop_ids in cut(image, ids, settings, source.split == 'train' and not settings.keep_empty):
        name = '_'.join([source.image.stem, *map(str, position)])
        _save_png(crop, out / 'img_dir' / source.split / f'{name}.png')
        if crop_ids is not None:
            _save_png(crop_ids, out / 'ann_dir' / source.split / f'{name}.png')
            record['padding'] += bool((crop_ids == PADDING).all())
        record['crops'].append(name)
    _write_json(record, _record_path(source, out))
    return record


def _decode(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert('RGB'))
    except (OSError, SyntaxError, ValueError) as error:
        raise PreparationError(f'cannot read {path}: {error}; fetch it again') from error


def _save_png(array: np.ndarray, path: Path) -> None:
    partial_path = path.with_suffix('.part')
    # Pillow's default level takes three times as long for files that are 3 % smaller.
    Image.fromarray(array).save(partial_path, format='PNG', compress_level=3)
    os.replace(partial_path, path)


def _write_json(content: dict, path: Path) -> None:
    partial_path = path.with_suffix('.part')
    partial_path.write_text(json.dumps(content))
    os.replace(partial_path, path)


def _record_path(source: Source, out: Path) -> Path:
    return out / 'records' / source.split / f'{source.image.stem}.json'


def _finished_record(source: Source, out: Path, present: set[str]) -> dict | None:
    """The record of an earlier run, if every crop that it names is still there."""
    path = _record_path(source, out)
    if not path.is_file():
        return None
    record = json.loads(path.read_text())
    kinds = ('img_dir', 'ann_dir') if source.mask else ('img_dir',)
    names = (f'{kind}/{source.split}/{name}.png' for kind in kinds for name in record['crops'])
    return record if present.issuperset(names) else None


def _present_files(out: Path) -> set[str]:
    return {f'{kind}/{split}/{entry.name}' for kind in ('img_dir', 'ann_dir') for split in SPLITS
            if (out / kind / split).is_dir() for entry in os.scandir(out / kind / split)}


def store_settings(out: Path, settings: Settings) -> None:
    """Write the settings into a new output folder, or compare them with those of an earlier run.

    Args:
        out: Output folder.
        settings: Settings of this run.

    Raises:
        PreparationError: The folder was made with other settings.
    """
    path = out / 'isaid_settings.json'
    if path.is_file():
        stored = json.loads(path.read_text())
        changed = [f'{key} {stored.get(key)} there, {value} now' for key, value in asdict(settings).items()
                   if stored.get(key) != value]
        if changed:
            raise PreparationError(f'{out} was made with other settings ({"; ".join(changed)}); choose another output '
                                   'folder, repeat the old settings, or delete it')
    out.mkdir(parents=True, exist_ok=True)
    _write_json(asdict(settings), path)


def prepare(root: Path, out: Path, settings: Settings, splits: Sequence[str] | None = None,
            workers: int = 1) -> dict[str, dict[str, int]]:
    """Cut a download, or what an earlier run has left of it.

    Args:
        root: The download's folder.
        out: Output folder.
        settings: Sizes.
        splits: Splits to cut; None takes those that are there.
        workers: Processes.

    Returns:
        For each split the numbers of ``images``, ``crops``, and crops that show ``padding`` alone.

    Raises:
        PreparationError: See :func:`find_sources`, :func:`store_settings` and :func:`prepare_image`.
    """
    _lift_pixel_limit()
    sources = find_sources(root, splits)
    store_settings(out, settings)
    for source in {source.split: source for source in sources}.values():
        for kind in ('img_dir', 'records', *(['ann_dir'] if source.mask else [])):
            (out / kind / source.split).mkdir(parents=True, exist_ok=True)
    present = _present_files(out)
    records = {source: record for source in sources if (record := _finished_record(source, out, present))}
    todo = [source for source in sources if source not in records]
    work = partial(prepare_image, out=out, settings=settings, palette=class_palette())
    with tqdm(total=len(sources), initial=len(records), desc='cutting', unit='image', disable=None) as progress:
        for source, record in _each(work, todo, workers):
            records[source] = record
            progress.update()
    return _count(sources, records)


def _lift_pixel_limit() -> None:
    # The largest images have more pixels than Pillow takes from strangers, and they come from a known place.
    Image.MAX_IMAGE_PIXELS = None


def _each(work: partial, sources: list[Source], workers: int) -> Iterator[tuple[Source, dict]]:
    if workers == 1 or len(sources) < 2:
        yield from ((source, work(source)) for source in sources)
        return
    with ProcessPoolExecutor(workers, initializer=_lift_pixel_limit) as pool:
        futures = {pool.submit(work, source): source for source in sources}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            # After an error nothing new is begun; images that are being cut are finished and recorded.
            pool.shutdown(cancel_futures=True)


def class_palette() -> list[list[int]]:
    """The 16 colours of iSAID (red, green, blue) in the order of the class ids, as mmseg has them."""
    from mmseg.datasets import iSAIDDataset  # takes seconds to import, which --help should not

    return iSAIDDataset.METAINFO['palette']


def _count(sources: Iterable[Source], records: dict[Source, dict]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for source in sources:
        count = counts.setdefault(source.split, {'images': 0, 'crops': 0, 'padding': 0})
        count['images'] += 1
        count['crops'] += len(records[source]['crops'])
        count['padding'] += records[source]['padding']
    return counts


def compare_with_published(counts: dict[str, dict[str, int]]) -> list[str]:
    """Say how the numbers of crops agree with the published ones, for splits that have all official images.

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, metavar='SRC', help='folder of the download, with train/, val/, test/')
    parser.add_argument('out', type=Path, metavar='OUT', help='output folder, e.g. data/isaid')
    parser.add_argument('--splits', nargs='+', choices=SPLITS, help='splits to cut (default: those that are there)')
    parser.add_argument('--patch', type=int, default=1024, help='side of a patch in pixels (default: %(default)s)')
    parser.add_argument('--gap', type=int, default=200, help='overlap of patches in pixels (default: %(default)s)')
    parser.add_argument('--crop', type=int, default=512,
                        help='side of a crop in pixels; as --patch: patches are not divided (default: %(default)s)')
    parser.add_argument('--keep-empty', action='store_true', help='keep training patches that show background alone')
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes (default: all cores)')
    args = parser.parse_args(argv)
    if args.workers < 1:
        parser.error(f'--workers is {args.workers}; it must be at least 1')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Command line; see the module and ``--help``."""
    args = parse_args(argv)
    try:
        settings = Settings(args.patch, args.gap, args.crop, args.keep_empty)
        counts = prepare(args.source, args.out, settings, args.splits, args.workers)
    except PreparationError as error:
        sys.exit(f'isaid: error: {error}')
    for split, count in counts.items():
        print(f'{split}: {count["images"]:,} images, {count["crops"]:,} crops in {args.out}/img_dir/{split}'
              f' ({count["padding"]:,} of padding alone)')
    for line in compare_with_published(counts):
        print(line)


if __name__ == '__main__':
    main()

"""ISPRS 2D semantic labeling: the common part of the commands for Potsdam and Vaihingen."""
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from data_prep import preparing
from data_prep.downloads import File, PreparationError, decode_color, first_matches, list_files
from data_prep.preparing import Official, Source

# Red, green, blue of mmseg's ids 0-6: boundary, impervious surface, building, low vegetation, tree, car, clutter.
COLORS = ((0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0))

POTSDAM_TILES = {
    'train': ('2_10', '2_11', '2_12', '3_10', '3_11', '3_12', '4_10', '4_11', '4_12', '5_10', '5_11', '5_12',
              '6_7', '6_8', '6_9', '6_10', '6_11', '6_12', '7_7', '7_8', '7_9', '7_10', '7_11', '7_12'),
    'val': ('2_13', '2_14', '3_13', '3_14', '4_13', '4_14', '4_15', '5_13', '5_14', '5_15', '6_13', '6_14', '6_15',
            '7_13'),
}
VAIHINGEN_TILES = {
    'train': ('1', '3', '5', '7', '11', '13', '15', '17', '21', '23', '26', '28', '30', '32', '34', '37'),
    'val': ('2', '4', '6', '8', '10', '12', '14', '16', '20', '22', '24', '27', '29', '31', '33', '35', '38'),
}


@dataclass(frozen=True)
class Settings:
    """Settings of the crops; lengths in pixels."""

    labels: str
    crop: int = 512
    train_stride: int = 512
    val_stride: int = 512
    nearest_color: bool = False

    def __post_init__(self) -> None:
        for name in ('crop', 'train_stride', 'val_stride'):
            if getattr(self, name) < 1:
                raise PreparationError(f'--{name.replace("_", "-")} is {getattr(self, name)}; it must be at least 1')


@dataclass(frozen=True)
class City:
    """Names of the files of a city, and official numbers of its crops.

    Attributes:
        name: Name in the settings file and in messages.
        tiles: Split -> names of its tiles.
        image: Regular expression for the path of an image; its one group is the tile.
        labels: Kind of label -> regular expression for the path of a label, likewise. The first kind that all images
            have is used.
        sample: Format of the first part of a crop's name, with the tile as argument, as in mmseg's converters.
        published: Numbers of the official splits with the default settings.
        off_palette: Tiles whose official label has colors outside the palette.
    """

    name: str
    tiles: Mapping[str, Sequence[str]]
    image: str
    labels: Mapping[str, str]
    sample: str
    published: Mapping[str, Official]
    off_palette: Sequence[str] = ()


def find_sources(files: Sequence[tuple[str, File]], city: City, labels: str | None) -> tuple[list[Source], str]:
    """Pair images with labels.

    Args:
        files: The download, see :func:`data_prep.downloads.list_files`.
        city: Names of the files.
        labels: Kind of label; None: the first of ``city.labels`` that all images have.

    Returns:
        Images in the order of the splits, and the kind of label.

    Raises:
        PreparationError: There is no image, or an image has no label.
    """
    images = {tile: file for (tile, ), file in first_matches(files, city.image).items()}
    split_of = {tile: split for split, tiles in city.tiles.items() for tile in tiles}
    tiles = [tile for tile in split_of if tile in images]
    if not tiles:
        raise PreparationError(f'found no image of {city.name}: no file matches {city.image}; --help shows the layout')
    lost = {}
    for kind in [labels] if labels else city.labels:
        masks = {tile: file for (tile, ), file in first_matches(files, city.labels[kind]).items()}
        lost[kind] = [tile for tile in tiles if tile not in masks]
        if not lost[kind]:
            return [Source(split_of[tile], tile, images[tile], masks[tile]) for tile in tiles], kind
    told = '; '.join(f'{kind}: {len(names)} of {len(tiles)}, e.g. {", ".join(names[:3])}'
                     for kind, names in lost.items())
    raise PreparationError(f'images of {city.name} without a label ({told}); fetch the archive with the labels of all '
                           'tiles, see --help')


def label_ids(rgb: np.ndarray, name: str, nearest: bool) -> tuple[np.ndarray, int]:
    """Translate a color label.

    Args:
        rgb: (H, W, 3) uint8.
        name: The label's file, for the message.
        nearest: Whether to round each channel to 0 or 255 to get a color of the palette. Pink, which the palette does
            not have, becomes boundary.

    Returns:
        Ids 0-6, (H, W) uint8, and the number of pixels with other colors.

    Raises:
        PreparationError: The label has another color, and ``nearest`` is not set.
    """
    if not nearest:
        remedy = 'use the official files, neither resized nor saved as JPEG; --nearest-color accepts other colors'
        return preparing.colors_to_ids(rgb, COLORS, name, remedy), 0
    # The channels of all colors of the palette are 0 or 255.
    pure = np.where(rgb >= 128, np.uint8(255), np.uint8(0))
    ids = preparing.look_up_colors(pure, COLORS)
    return np.where(ids == preparing.UNKNOWN, 0, ids).astype(np.uint8), int((pure != rgb).any(-1).sum())


def prepare_tile(source: Source, out: Path, settings: Settings, city: City) -> dict:
    """Write the crops of one tile; returns the record, with the share of pixels ``off_palette`` in its label."""
    from s5_mm.tiling import windows  # takes seconds to import, which --help should not

    image, label = decode_color(source.image), decode_color(source.mask)
    preparing.require_equal_sizes(source.image, image.shape[:2], source.mask, label.shape[:2])
    nearest = settings.nearest_color or source.name in city.off_palette
    ids, others = label_ids(label, str(source.mask), nearest)
    stride = settings.train_stride if source.split == 'train' else settings.val_stride
    files = []
    for top, left, height, width in windows(ids.shape, settings.crop, stride):
        crop = (slice(top, top + height), slice(left, left + width))
        name = '_'.join(map(str, (city.sample.format(source.name), left, top, left + width, top + height)))
        files += preparing.save_pair(out, source.split, name, image[crop], ids[crop])
    return {'files': files, 'off_palette': others / ids.size}


def prepare(root: Path, out: Path, city: City, defaults: Settings, workers: int = 1, **chosen: object) -> list[str]:
    """Cut a download, or the part that an earlier run has not done.

    Args:
        root: The download's folder.
        out: Output folder.
        city: Names of the files.
        defaults: Settings of the published numbers.
        workers: Processes.
        **chosen: Settings; ``labels=None``: the first kind that all images have.

    Returns:
        Lines about the result and its agreement with the published numbers.

    Raises:
        PreparationError: Files are missing, damaged or contradictory, or settings are out of range.
    """
    sources, kind = find_sources(list_files(root), city, chosen.pop('labels'))
    settings = replace(defaults, labels=kind, **chosen)
    work = partial(prepare_tile, out=out, settings=settings, city=city)
    with preparing.resuming(out / f'{city.name.lower()}_settings.json', asdict(settings)):
        records = preparing.prepare_all(sources, out, work, workers)
        counts = preparing.count(preparing.stored_records(out))
    lines = [f'{split}: {numbers["images"]:,} tiles, {numbers["samples"]:,} crops in {out}/img_dir/{split} ({kind} '
             'labels)' for split, numbers in counts.items()]
    lines += [f'{source.mask.name}: {record["off_palette"]:.1%} of the pixels have colors outside the palette and got '
              'the nearest one' for source, record in records.items() if record['off_palette']]
    as_published = replace(settings, labels='') == defaults
    if not as_published:
        return lines + preparing.none_found(counts, city.tiles)
    return lines + preparing.compare(counts, city.published, 'crops')


def parse_args(doc: str, city: City, defaults: Settings, argv: Sequence[str] | None) -> dict:
    """Read the command line; returns the arguments of :func:`prepare`."""
    parser = preparing.command_line(
        doc, 'folder of the download, archives or unpacked', f'output folder, e.g. data/{city.name.lower()}')
    parser.add_argument('--labels', choices=list(city.labels),
                        help=f'kind of label (default: the first of {", ".join(city.labels)} that all images have)')
    parser.add_argument(
        '--crop', type=int, default=defaults.crop, help='side of a crop in pixels (default: %(default)s)')
    for split in ('train', 'val'):
        parser.add_argument(f'--{split}-stride', type=int, default=getattr(defaults, f'{split}_stride'),
                            help=f'pixels from one {split} crop to the next (default: %(default)s)')
    parser.add_argument('--nearest-color', action='store_true',
                        help='accept labels with other colors than the six and black')
    args = vars(parser.parse_args(argv))
    return {'root': args.pop('source'), **args, 'city': city, 'defaults': defaults}


def main(doc: str, city: City, defaults: Settings, argv: Sequence[str] | None) -> None:
    """Run the command line of a city."""
    arguments = parse_args(doc, city, defaults, argv)
    preparing.report(partial(prepare, **arguments), city.name.lower())

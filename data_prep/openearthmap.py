"""Check the official OpenEarthMap download and arrange its files for training.

OpenEarthMap is published as GeoTIFF of about 1024 x 1024 px at 25-50 cm (https://zenodo.org/records/7223446). SRC holds
its archive or the unpacked files:

    REGION/images/REGION_1.tif and REGION/labels/REGION_1.tif
    train.txt, val.txt, test.txt (or train_wo_xBD.txt ...): REGION_1.tif, one name a line
    xbd_files.csv: the names whose images belong to xBD and are not in the release

Listed images that are missing are left out if xbd_files.csv names them; otherwise they are an error. Nothing is
converted: images and labels are copied unchanged, with the ids 0 = unknown and 1-8 = classes. The official test labels
are not public, so test has no labels.

    OUT/img_dir/{train,val,test}/REGION_1.tif and OUT/ann_dir/{train,val}/REGION_1.tif

A stopped run resumes when the same command is repeated.
"""
import re
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep import preparing
from data_prep.downloads import File, PreparationError, first_matches, list_files
from data_prep.preparing import Official, Source

PLACE = r'/{}/([\w-]+_\d+)\.tif$'
LIST = r'(?:^|/)(train|val|test)(_wo_xBD)?\.txt$'
LABELED = ('train', 'val')
LARGEST_ID = 8
PUBLISHED = {'train': Official(2303, 2303), 'val': Official(384, 384)}


def find_sources(files: Sequence[tuple[str, File]]) -> tuple[list[Source], list[str]]:
    """Pair the listed images with labels.

    Returns:
        Sources in the order of the lists, and the listed names that belong to xBD and are missing.

    Raises:
        PreparationError: There is no list, a listed image or label is missing, or a name is listed twice.
    """
    images, labels = ({name: file for (name, ), file in first_matches(files, PLACE.format(kind)).items()}
                      for kind in ('images', 'labels'))
    lists = _read_lists(files)
    listed = [name for names in lists.values() for name in names]
    if len(set(listed)) < len(listed):
        twice = next(name for name in listed if listed.count(name) > 1)
        raise PreparationError(f'{twice}.tif is listed twice in {", ".join(f"{split}.txt" for split in lists)}')
    elsewhere = _names_in_xbd(files)
    lost = [name for name in listed if name not in images and name not in elsewhere]
    lost += [name for split in LABELED for name in lists.get(split, ()) if name in images and name not in labels]
    if lost:
        named = ', '.join(f'{name}.tif' for name in lost[:3])
        raise PreparationError(f'{len(lost)} of {len(listed)} listed images are missing, or have no label: {named}; '
                               'fetch the archive again. Images of xBD are left out if xbd_files.csv, or a list like '
                               'train_wo_xBD.txt, names them')
    sources = [Source(split, name, images[name], labels[name] if split in LABELED else None)
               for split, names in lists.items() for name in names if name in images]
    if not sources:
        raise PreparationError('none of the listed images exists')
    return sources, [name for name in listed if name not in images]


def _read_lists(files: Sequence[tuple[str, File]]) -> dict[str, list[str]]:
    found = first_matches(files, LIST)
    lists = {}
    for split in (*LABELED, 'test'):
        file = found.get((split, '_wo_xBD')) or found.get((split, None))
        if file:
            lines = file.read().decode('utf-8', 'replace').splitlines()
            lists[split] = [line.strip().removesuffix('.tif') for line in lines if line.strip()]
    absent = [f'{split}.txt' for split in LABELED if split not in lists]
    if absent:
        raise PreparationError(f'found no {" and no ".join(absent)}; they come with the archive, see --help')
    return lists


def _names_in_xbd(files: Sequence[tuple[str, File]]) -> set[str]:
    tables = first_matches(files, r'(?:^|/)(xbd_files\.csv)$').values()
    text = '\n'.join(file.read().decode('utf-8', 'replace') for file in tables)
    return set(re.findall(r',\s*([\w-]+_\d+)\.tif', text))


def read_geotiff(file: File) -> np.ndarray:
    """Read a GeoTIFF: (bands, H, W) as stored.

    Raises:
        PreparationError: The file is damaged or not a GeoTIFF.
    """
    import rasterio  # these take a while, which --help should not

    from s5_mm.rasters import RasterError, require_size

    content = file.read()
    if not content:  # rasterio would take it for a file to be written
        raise PreparationError(f'{file} is empty; fetch it again')
    try:
        with warnings.catch_warnings(), rasterio.MemoryFile(content) as memory:
            warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
            with memory.open(driver='GTiff') as source:
                require_size(source)
                return source.read()
    except RasterError as error:
        raise PreparationError(f'cannot read {file}: {error}') from error
    except rasterio.errors.RasterioError as error:
        raise PreparationError(f'cannot read {file}: {error}; fetch it again') from error


def prepare_pair(source: Source, out: Path, link: bool) -> dict:
    """Check an image and its label and copy them; returns their record."""
    image = read_geotiff(source.image)
    if image.dtype != np.uint8 or len(image) < 3:
        raise PreparationError(f'{source.image} has {len(image)} bands of {image.dtype}; official images have three of '
                               'uint8')
    if source.mask:
        label = read_geotiff(source.mask)
        if len(label) != 1:
            raise PreparationError(f'{source.mask} has {len(label)} bands; official labels have one')
        preparing.require_equal_sizes(source.image, image.shape[1:], source.mask, label.shape[1:])
        preparing.require_ids(label, LARGEST_ID, str(source.mask))
    return {'files': preparing.place_pair(source, out, '.tif', link)}


def prepare(root: Path, out: Path, link: bool = False, workers: int = 1) -> list[str]:
    """Arrange a download, or the part that an earlier run has not done; returns lines about the result.

    Raises:
        PreparationError: Files are missing, damaged or contradictory.
    """
    sources, elsewhere = find_sources(list_files(root))
    with preparing.resuming(out / 'openearthmap_settings.json', {'link': link}):
        preparing.prepare_all(sources, out, partial(prepare_pair, out=out, link=link), workers)
        counts = preparing.count(preparing.stored_records(out))
    left_out = [f'{len(elsewhere):,} listed images belong to xBD and are missing'] if elsewhere else []
    return left_out + preparing.compare(counts, PUBLISHED, 'images')


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, see the module and ``--help``."""
    preparing.copying_command(__doc__, 'openearthmap', prepare, argv)


if __name__ == '__main__':
    main()

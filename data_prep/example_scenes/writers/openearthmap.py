"""OpenEarthMap on disk: GeoTIFF images and labels of ids 1-8 by region, and the lists of the splits."""

from collections.abc import Sequence
from pathlib import Path

from ..files import write_bytes, write_geotiff
from ..render import Picture
from ..sampling import Sample
from .base import Format, id_table

IDS = id_table(
    {
        1: 'bare_land baseball_diamond',
        2: 'low_vegetation soccer_field',
        3: 'pavement clutter harbor plane helicopter small_vehicle large_vehicle tennis_court basketball_court '
        'ground_track_field',
        4: 'road roundabout bridge',
        5: 'tree',
        6: 'water swimming_pool ship',
        7: 'cropland',
        8: 'building storage_tank',
    }
)
SPLITS = ('train', 'val')


def openearthmap_path(folder: Path, sample: Sample) -> Path:
    """Image file of a sample; a style is a region, whose files are numbered through the splits."""
    number = len(SPLITS) * sample.number + SPLITS.index(sample.split) + 1
    return folder / sample.style / 'images' / f'{sample.style}_{number}.tif'


def write_openearthmap(picture: Picture, folder: Path, sample: Sample) -> None:
    """Writes the label and the image."""
    image = openearthmap_path(folder, sample)
    write_geotiff(image.parents[1] / 'labels' / image.name, IDS[picture.classes], picture.gsd)
    write_geotiff(image, picture.image, picture.gsd)


def write_openearthmap_lists(folder: Path, samples: Sequence[Sample]) -> None:
    """Writes ``train.txt`` and ``val.txt``, one file name a line."""
    for split in SPLITS:
        names = sorted(openearthmap_path(folder, sample).name for sample in samples if sample.split == split)
        write_bytes(folder / f'{split}.txt', ''.join(f'{name}\n' for name in names).encode())


OPENEARTHMAP_FORMAT = Format(
    title='OpenEarthMap',
    layout='OUT/REGION/images and labels as GeoTIFF of 25-50 cm, OUT/{train,val}.txt, the layout of OpenEarthMap',
    image_path=openearthmap_path,
    write=write_openearthmap,
    salt=4,
    counts={'train': 40, 'val': 20},
    styles=('temperate', 'arid', 'tropical', 'winter', 'autumn', 'coastal_haze', 'dusk'),
    size=1024,
    gsd=(0.25, 0.5),
    write_lists=write_openearthmap_lists,
)

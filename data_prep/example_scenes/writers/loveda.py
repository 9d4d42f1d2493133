"""LoveDA on disk: urban and rural PNG images, masks of ids 1-7; the test split has no masks."""

from pathlib import Path

from ..files import write_image
from ..render import Picture
from ..sampling import Sample
from .base import Format, id_table

IDS = id_table(
    {
        1: 'low_vegetation clutter storage_tank harbor ship plane helicopter tennis_court basketball_court '
        'ground_track_field soccer_field',
        2: 'building',
        3: 'road pavement roundabout bridge small_vehicle large_vehicle',
        4: 'water swimming_pool',
        5: 'bare_land baseball_diamond',
        6: 'tree',
        7: 'cropland',
    }
)
FIRST_NUMBER = {'train': 0, 'val': 2522, 'test': 4191}  # files are numbered through all splits
URBAN_THEMES = ('city', 'old_town', 'industrial', 'town_river', 'port', 'school')
RURAL_THEMES = ('farmland', 'valley', 'river', 'suburb', 'beach', 'airfield')


def loveda_path(folder: Path, sample: Sample) -> Path:
    """Image file of a sample."""
    domain = 'Rural' if sample.theme in RURAL_THEMES else 'Urban'
    name = f'{FIRST_NUMBER[sample.split] + sample.number}.png'
    return folder / sample.split.capitalize() / domain / 'images_png' / name


def write_loveda(picture: Picture, folder: Path, sample: Sample) -> None:
    """Writes the image and, except for the test split, the mask."""
    image = loveda_path(folder, sample)
    if sample.split != 'test':
        write_image(image.parents[1] / 'masks_png' / image.name, IDS[picture.classes])
    write_image(image, picture.image)


LOVEDA_FORMAT = Format(
    title='LoveDA',
    layout='OUT/{Train,Val,Test}/{Urban,Rural}/images_png and masks_png, 30 cm, the layout of LoveDA',
    image_path=loveda_path,
    write=write_loveda,
    salt=3,
    counts={'train': 40, 'val': 20, 'test': 10},
    styles=('tropical', 'coastal_haze'),
    themes=URBAN_THEMES + RURAL_THEMES,
    size=1024,
    gsd=(0.3, 0.3),
)

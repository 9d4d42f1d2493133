"""ISPRS Potsdam and Vaihingen on disk: GeoTIFF tiles and color labels, complete or with eroded boundaries."""

from pathlib import Path

import cv2
import numpy as np

from data_prep.isprs import COLORS, POTSDAM_TILES, VAIHINGEN_TILES

from ..files import write_geotiff
from ..render import Picture
from ..sampling import Sample
from .base import Format, id_table

IDS = id_table(
    {
        1: 'road pavement roundabout bridge harbor tennis_court basketball_court ground_track_field',
        2: 'building storage_tank',
        3: 'low_vegetation cropland bare_land baseball_diamond soccer_field',
        4: 'tree',
        5: 'small_vehicle large_vehicle',
        6: 'clutter water swimming_pool ship plane helicopter',
    }
)
_PALETTE = np.array(COLORS, np.uint8)
ERODED = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))  # a disc of radius 3, as the benchmark erodes
VAIHINGEN = 'ISPRS_semantic_labeling_Vaihingen'


def without_boundaries(ids: np.ndarray) -> np.ndarray:
    """(H, W) uint8 ids, 0 within three pixels of another class."""
    return np.where(cv2.dilate(ids, ERODED) == cv2.erode(ids, ERODED), ids, 0).astype(np.uint8)


def potsdam_path(folder: Path, sample: Sample) -> Path:
    """Image file of a tile."""
    return folder / '2_Ortho_RGB' / f'top_potsdam_{POTSDAM_TILES[sample.split][sample.number]}_RGB.tif'


def write_potsdam(picture: Picture, folder: Path, sample: Sample) -> None:
    """Writes the complete label and the image."""
    image = potsdam_path(folder, sample)
    label = folder / '5_Labels_all' / image.name.replace('_RGB', '_label')
    write_geotiff(label, _PALETTE[IDS[picture.classes]], picture.gsd)
    write_geotiff(image, picture.image, picture.gsd)


def vaihingen_path(folder: Path, sample: Sample) -> Path:
    """Image file of a tile."""
    tile = VAIHINGEN_TILES[sample.split][sample.number]
    return folder / VAIHINGEN / 'top' / f'top_mosaic_09cm_area{tile}.tif'


def write_vaihingen(picture: Picture, folder: Path, sample: Sample) -> None:
    """Writes the eroded label, the complete one for participants (training tiles alone have it) and the image."""
    image, ids = vaihingen_path(folder, sample), IDS[picture.classes]
    eroded = folder / f'{VAIHINGEN}_ground_truth_eroded_COMPLETE' / f'{image.stem}_noBoundary.tif'
    write_geotiff(eroded, _PALETTE[without_boundaries(ids)], picture.gsd)
    if sample.split == 'train':
        write_geotiff(folder / VAIHINGEN / 'gts_for_participants' / image.name, _PALETTE[ids], picture.gsd)
    write_geotiff(image, picture.image, picture.gsd)


POTSDAM_FORMAT = Format(
    title='Potsdam',
    layout='OUT/2_Ortho_RGB, OUT/5_Labels_all: color images of 5 cm and color labels, the layout of ISPRS Potsdam',
    image_path=potsdam_path,
    write=write_potsdam,
    salt=1,
    counts={'train': 24, 'val': 14},
    limits={split: len(tiles) for split, tiles in POTSDAM_TILES.items()},
    styles=('temperate', 'autumn'),
    themes=('city', 'old_town', 'suburb', 'town_river', 'school', 'industrial', 'sports_park'),
    size=1024,
    gsd=(0.05, 0.05),
)
VAIHINGEN_FORMAT = Format(
    title='Vaihingen',
    layout=f'OUT/{VAIHINGEN}/top (infrared, red, green, 9 cm) and gts_for_participants, OUT/{VAIHINGEN}_ground_truth_'
    'eroded_COMPLETE, the layout of ISPRS Vaihingen',
    image_path=vaihingen_path,
    write=write_vaihingen,
    salt=2,
    counts={'train': 16, 'val': 17},
    limits={split: len(tiles) for split, tiles in VAIHINGEN_TILES.items()},
    styles=('infrared',),
    themes=('old_town', 'suburb', 'school', 'farmland'),
    size=1024,
    gsd=(0.09, 0.09),
)

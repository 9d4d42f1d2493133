"""Cut the official ISPRS Potsdam download into crops and id masks.

Potsdam is published as 38 tiles of 6000 x 6000 px at 5 cm (https://www.isprs.org, "2D semantic labeling"). SRC holds,
as archives or unpacked, the images and one kind of label:

    2_Ortho_RGB.zip               top_potsdam_2_10_RGB.tif
    5_Labels_all.zip              top_potsdam_2_10_label.tif               "complete"
    5_Labels_all_noBoundary.zip   top_potsdam_2_10_label_noBoundary.tif    "eroded": black where classes meet

(an archive that contains these archives must be unpacked first). The 24 tiles that ISPRS released with labels are for
training, the 14 of its test for validation. Output, with 8-bit masks like those of mmseg's converter: 0 boundary, 1-5
impervious surface, building, low vegetation, tree, car, 6 clutter:

    OUT/img_dir/{train,val}/NAME.png and OUT/ann_dir/{train,val}/NAME.png

NAME is TILE_LEFT_TOP_RIGHT_BOTTOM, in pixels. A stopped run resumes when the same command is repeated.
"""
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep import isprs
from data_prep.preparing import Official

POTSDAM = isprs.City(
    name='Potsdam',
    tiles=isprs.POTSDAM_TILES,
    image=r'(?:^|/)top_potsdam_(\d+_\d+)_RGB\.tif$',
    labels={
        'eroded': r'(?:^|/)top_potsdam_(\d+_\d+)_label_noBoundary\.tif$',
        'complete': r'(?:^|/)top_potsdam_(\d+_\d+)_label\.tif$',
    },
    sample='{}',
    published={'train': Official(24, 12696), 'val': Official(14, 2016)},
    off_palette=('4_12', '6_7'),  # 4_12 was re-encoded with losses; 6_7 has (252, 255, 0) on its cars
)
DEFAULTS = isprs.Settings(labels='', train_stride=256)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, see the module and ``--help``."""
    isprs.main(__doc__, POTSDAM, DEFAULTS, argv)


if __name__ == '__main__':
    main()

"""Cut the official ISPRS Vaihingen download into crops and id masks.

Vaihingen is published as 33 tiles of about 2000 x 2500 px at 9 cm, whose channels are infrared, red and green
(https://www.isprs.org, "2D semantic labeling"). SRC holds, as archives or unpacked, the images and one kind of label:

    ISPRS_semantic_labeling_Vaihingen.zip
        top/top_mosaic_09cm_area1.tif
    ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip
        top_mosaic_09cm_area1_noBoundary.tif     "eroded": black where classes meet
    ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE.zip
        top_mosaic_09cm_area1.tif                "complete"

gts_for_participants/ counts as "complete"; it has only the training tiles. The 16 tiles that ISPRS released with labels
are for training, the 17 of its test for validation. Output, with 8-bit masks like those of mmseg's converter: 0
boundary, 1-5 impervious surface, building, low vegetation, tree, car, 6 clutter:

    OUT/img_dir/{train,val}/NAME.png and OUT/ann_dir/{train,val}/NAME.png

NAME is areaTILE_LEFT_TOP_RIGHT_BOTTOM, in pixels. A stopped run resumes when the same command is repeated.
"""
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep import isprs
from data_prep.preparing import Official

VAIHINGEN = isprs.City(
    name='Vaihingen',
    tiles=isprs.VAIHINGEN_TILES,
    image=r'(?:^|/)top/top_mosaic_09cm_area(\d+)\.tif$',
    labels={
        'eroded': r'(?:^|/)top_mosaic_09cm_area(\d+)_noBoundary\.tif$',
        'complete': r'(?:gts_for_participants|(?<!eroded_)COMPLETE)/(?:.*/)?top_mosaic_09cm_area(\d+)\.tif$',
    },
    sample='area{}',
    published={
        'train': Official(16, 344, 'the usual number (the published list has 1,324, which no regular cropping gives)'),
        'val': Official(17, 398),
    },
)
DEFAULTS = isprs.Settings(labels='')


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, see the module and ``--help``."""
    isprs.main(__doc__, VAIHINGEN, DEFAULTS, argv)


if __name__ == '__main__':
    main()

"""iSAID crops as written by ``data_prep/isaid.py``."""
from mmseg.datasets import iSAIDDataset

from s5_mm.registry import DATASETS

from .segmentation import SegDataset


@DATASETS.register_module()
class ISAIDDataset(SegDataset):
    """iSAID: 15 object classes and background (id 0, which is trained but excluded from the published mean).

    Classes and palette are mmseg's. Image and mask of a crop have the same name, both ``.png``; padding in a mask is
    255.
    """

    METAINFO = iSAIDDataset.METAINFO

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)

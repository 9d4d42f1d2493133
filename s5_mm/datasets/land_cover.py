"""Land-cover benchmarks: classes, suffixes, and conventions of the label files."""
from mmseg.datasets import ISPRSDataset as MMSegISPRSDataset
from mmseg.datasets import LoveDADataset as MMSegLoveDADataset

from s5_mm.registry import DATASETS

from .segmentation import SegDataset


@DATASETS.register_module()
class S5ISPRSDataset(SegDataset):
    """ISPRS 2D semantic labeling, both cities, as written by ``data_prep/potsdam.py`` and ``data_prep/vaihingen.py``.

    Classes and palette are mmseg's. By default the five classes of the benchmark are trained and clutter is ignored;
    with ``metainfo=dict(classes=S5ISPRSDataset.METAINFO['classes'])`` clutter is a sixth class.

    Label rules: ``'mmseg'``, the ids of mmseg's converters: 0 = boundary (ignored), 1-5 = classes, 6 = clutter.
    ``'published'``, the ids of the published S5 lists: 0-4 = classes, 5 = clutter.
    """

    METAINFO = MMSegISPRSDataset.METAINFO
    LABEL_RULES = {
        'mmseg': dict(metainfo=dict(classes=METAINFO['classes'][:5]), reduce_zero_label=True),
        'published': dict(metainfo=dict(classes=METAINFO['classes'][:5]), reduce_zero_label=False),
    }

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class S5LoveDADataset(SegDataset):
    """LoveDA as written by ``data_prep/loveda.py``; classes and palette are mmseg's.

    Label rule ``'mmseg'``, the ids of the official files: 0 = no data (ignored), 1-7 = classes.
    """

    METAINFO = MMSegLoveDADataset.METAINFO
    LABEL_RULES = {'mmseg': dict(reduce_zero_label=True)}

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class OpenEarthMapDataset(SegDataset):
    """OpenEarthMap (arXiv 2210.10732), GeoTIFF images and labels; names and colors are those of its published code.

    Label rules: ``'mmseg'``, the benchmark's protocol: 0 = unknown (ignored), 1-8 = classes. ``'published'``, the
    protocol of S5: 0-8 are nine classes, including unknown.
    """

    METAINFO = dict(
        classes=('unknown', 'bareland', 'rangeland', 'developed_space', 'road', 'tree', 'water', 'agriculture_land',
                 'building'),
        palette=[[0, 0, 0], [128, 0, 0], [0, 255, 36], [148, 148, 148], [255, 255, 255], [34, 97, 38], [0, 69, 255],
                 [75, 181, 73], [222, 31, 7]])
    LABEL_RULES = {'mmseg': dict(metainfo=dict(classes=METAINFO['classes'][1:])), 'published': {}}

    def __init__(self, img_suffix: str = '.tif', seg_map_suffix: str = '.tif', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)

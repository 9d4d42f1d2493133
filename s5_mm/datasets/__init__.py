from .dior_r import DIORRDataset
from .dota import DOTADataset
from .isaid import ISAIDDataset
from .land_cover import ISPRSDataset, LoveDADataset, OpenEarthMapDataset
from .multi_source import MultiSourceDataset
from .samplers import MultiSourceSampler
from .segmentation import SegDataset
from .transforms import (
    ImageReadError,
    LoadGeoTIFF,
    LoadImage,
    LoadLabels,
    RandomPhotometric,
    RandomRescale,
    UnlabeledMask,
)
from .unlabeled import UnlabeledDataset

__all__ = [
    'DIORRDataset', 'DOTADataset', 'ISAIDDataset', 'ISPRSDataset', 'ImageReadError', 'LoadGeoTIFF', 'LoadImage',
    'LoadLabels', 'LoveDADataset', 'MultiSourceDataset', 'MultiSourceSampler', 'OpenEarthMapDataset',
    'RandomPhotometric', 'RandomRescale', 'SegDataset', 'UnlabeledDataset', 'UnlabeledMask'
]

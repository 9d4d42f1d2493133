from .dior_r import DIORRDataset
from .dota import S5DOTADataset
from .isaid import ISAIDDataset
from .land_cover import OpenEarthMapDataset, S5ISPRSDataset, S5LoveDADataset
from .multi_source import MultiSourceDataset
from .samplers import MultiSourceSampler
from .segmentation import SegDataset
from .transforms import (
    ImageReadError,
    LoadGeoTIFF,
    LoadImage,
    LoadLabels,
    LoadWindow,
    RandomPhotometric,
    RandomRescale,
    SetDatasetName,
    SetGSD,
    UnlabeledMask,
)
from .unlabeled import UnlabeledDataset

__all__ = [
    'DIORRDataset', 'S5DOTADataset', 'ISAIDDataset', 'S5ISPRSDataset', 'ImageReadError', 'LoadGeoTIFF', 'LoadImage',
    'LoadLabels', 'LoadWindow', 'S5LoveDADataset', 'MultiSourceDataset', 'MultiSourceSampler', 'OpenEarthMapDataset',
    'RandomPhotometric', 'RandomRescale', 'SegDataset', 'SetDatasetName', 'SetGSD', 'UnlabeledDataset',
    'UnlabeledMask'
]

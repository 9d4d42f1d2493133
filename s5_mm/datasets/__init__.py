from .isaid import ISAIDDataset
from .multi_source import MultiSourceDataset
from .samplers import MultiSourceSampler
from .segmentation import SegDataset
from .transforms import ImageReadError, LoadImage, LoadLabels, RandomRescale, UnlabeledMask
from .unlabeled import UnlabeledDataset

__all__ = [
    'ISAIDDataset', 'ImageReadError', 'LoadImage', 'LoadLabels', 'MultiSourceDataset', 'MultiSourceSampler',
    'RandomRescale', 'SegDataset', 'UnlabeledDataset', 'UnlabeledMask'
]

from .longest_epoch import LongestEpochTrainLoop
from .multi_dataset import MultiDatasetTestLoop, MultiDatasetValLoop

__all__ = ['LongestEpochTrainLoop', 'MultiDatasetTestLoop', 'MultiDatasetValLoop']

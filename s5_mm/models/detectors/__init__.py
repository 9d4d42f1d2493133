from .multi_dataset import MultiDatasetDetector

__all__ = ['MultiDatasetDetector']

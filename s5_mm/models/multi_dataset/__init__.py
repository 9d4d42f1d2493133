from .batch_check import check_images
from .model import MultiDatasetModel
from .settings import DatasetSettings, merged

__all__ = ['DatasetSettings', 'MultiDatasetModel', 'check_images', 'merged']

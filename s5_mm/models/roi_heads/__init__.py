from .roi_extractor import RotatedSingleRoIExtractor

__all__ = ['RotatedSingleRoIExtractor']

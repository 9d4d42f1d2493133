from .roi_extractor import S5RotatedSingleRoIExtractor

__all__ = ['S5RotatedSingleRoIExtractor']

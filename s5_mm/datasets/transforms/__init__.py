"""Loading and geometry; colour augmentation runs on the device, in the models."""
from .geometry import RandomRescale
from .loading import ImageReadError, LoadImage, LoadLabels, UnlabeledMask

__all__ = ['ImageReadError', 'LoadImage', 'LoadLabels', 'RandomRescale', 'UnlabeledMask']

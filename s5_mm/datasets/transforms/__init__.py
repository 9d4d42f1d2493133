"""Loading, geometry and color; S4P's strong view runs on the device, in the model."""
from .geometry import RandomRescale
from .geotiff import LoadGeoTIFF
from .loading import ImageReadError, LoadImage, LoadLabels, UnlabeledMask
from .photometric import RandomPhotometric

__all__ = [
    'ImageReadError', 'LoadGeoTIFF', 'LoadImage', 'LoadLabels', 'RandomPhotometric', 'RandomRescale', 'UnlabeledMask'
]

"""Loading, geometric and color transforms. S4P's strong view runs in the model, on the device."""
from .dataset_name import SetDatasetName
from .geometry import RandomRescale
from .geotiff import LoadGeoTIFF
from .gsd import SetGSD
from .loading import ImageReadError, LoadImage, LoadLabels, UnlabeledMask
from .photometric import RandomPhotometric
from .windows import LoadWindow

__all__ = [
    'ImageReadError', 'LoadGeoTIFF', 'LoadImage', 'LoadLabels', 'LoadWindow', 'RandomPhotometric', 'RandomRescale',
    'SetDatasetName', 'SetGSD', 'UnlabeledMask'
]

"""How a pipeline reads images, told by its loading step."""
from collections.abc import Sequence

from s5_mm.radiometry import Radiometry
from s5_mm.registry import TRANSFORMS


def radiometry_of(pipeline: Sequence) -> Radiometry:
    """What the loading step of a pipeline does to the values of images.

    Args:
        pipeline: Transforms, or their configs. The loading step states it in its attribute ``radiometry``, as
            :class:`s5_mm.LoadGeoTIFF` does.

    Returns:
        That of the first step which states it; 8 bits, red, green and blue, if none does.
    """
    for step in pipeline:
        if isinstance(step, dict):
            kind = TRANSFORMS.get(step['type']) if isinstance(step['type'], str) else step['type']
            step = TRANSFORMS.build(step) if hasattr(kind, 'radiometry') else None
        if hasattr(step, 'radiometry'):
            return step.radiometry
    return Radiometry()

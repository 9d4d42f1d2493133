"""What a pixel measures on the ground."""
from mmcv.transforms import BaseTransform

from s5_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SetGSD(BaseTransform):
    """Tell the ground sample distance of a dataset's images, for encoders whose positions depend on it (Scale-MAE).

    Added key: ``gsd``; name it in ``meta_keys`` where samples are packed, together with ``scale_factor``, by which
    resizing changes it.

    Args:
        gsd: Meters a pixel of the file.

    Raises:
        ValueError: It is not positive.
    """

    def __init__(self, gsd: float) -> None:
        if gsd <= 0:
            raise ValueError(f'SetGSD: gsd is {gsd}; give meters a pixel, above 0.')
        self.gsd = float(gsd)

    def transform(self, results: dict) -> dict:
        """Add the key."""
        return dict(results, gsd=self.gsd)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(gsd={self.gsd})'

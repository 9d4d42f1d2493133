"""Which dataset an image belongs to, where no loop and no source tells it."""
from mmcv.transforms import BaseTransform

from s5_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SetDatasetName(BaseTransform):
    """Tell a model of several datasets which one's decoder predicts an image.

    Added key: ``dataset_name``; name it in ``meta_keys`` where samples are packed.

    Args:
        name: Of the dataset.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def transform(self, results: dict) -> dict:
        """Add the key."""
        return dict(results, dataset_name=self.name)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name={self.name!r})'

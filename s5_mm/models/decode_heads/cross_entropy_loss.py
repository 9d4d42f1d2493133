"""Cross-entropy over the pixels that have a class."""
from mmseg.models.losses import CrossEntropyLoss

from s5_mm.registry import MODELS


@MODELS.register_module()
class S5CrossEntropyLoss(CrossEntropyLoss):
    """mmseg's ``CrossEntropyLoss``, averaged over the pixels that are not ignored, as ``torch.nn.CrossEntropyLoss``.

    With ``class_weight`` the mean is one with these weights. (mmseg's own raises an ``IndexError`` if both
    ``avg_non_ignore=True`` and ``class_weight`` are given and a pixel is ignored.)

    Args:
        avg_non_ignore (bool): ``False``: without ``class_weight`` the sum is divided by the number of all pixels.
        **kwargs: Arguments of mmseg's loss: ``use_sigmoid``, ``class_weight``, ``loss_weight``, ``loss_name`` ...
    """

    def __init__(self, avg_non_ignore: bool = True, **kwargs) -> None:
        super().__init__(avg_non_ignore=avg_non_ignore, **kwargs)
        if self.class_weight is not None and not (self.use_sigmoid or self.use_mask):
            # mmseg then divides by the weights of the pixels that are not ignored, and fails with True.
            self.avg_non_ignore = False

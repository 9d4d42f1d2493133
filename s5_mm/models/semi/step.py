"""What one semi-supervised training step works on.

Shapes: L labeled and N unlabeled images of H x W pixels, K classes.
"""
from collections.abc import Callable
from typing import NamedTuple

from mmseg.structures import SegDataSample
from torch import Tensor

from .pseudo_label import PseudoLabel


class SemiBatch(NamedTuple):
    """A training batch, divided by source.

    Attributes:
        labeled: Normalized labeled images, (L, 3, H, W).
        labeled_samples: Their data samples, with the ground truth in ``gt_sem_seg``.
        weak: Normalized weak views of the unlabeled images, (N, 3, H, W).
        weak_samples: Their data samples; ``gt_sem_seg`` is not 0 where there is padding.
    """

    labeled: Tensor
    labeled_samples: list[SegDataSample]
    weak: Tensor
    weak_samples: list[SegDataSample]


class View(NamedTuple):
    """A strong view of the unlabeled images.

    Attributes:
        images: Normalized images, (N, 3, H, W).
        target: The pseudo-label, with the same changes of geometry and the same mixing as the images.
    """

    images: Tensor
    target: PseudoLabel

    def map(self, function: Callable[..., Tensor], *others: 'View') -> 'View':
        """Apply a function to the images and each map, and to those of other views as its further arguments."""
        images = function(self.images, *(other.images for other in others))
        return View(images, self.target.map(function, *(other.target for other in others)))


class SemiStep(NamedTuple):
    """The tensors of one training step, for an observer.

    Attributes:
        batch: The batch.
        target: The pseudo-label of the weak views.
        views: The strong views.
        logits: The student's logits of each strong view, (N, K, H, W).
    """

    batch: SemiBatch
    target: PseudoLabel
    views: list[View]
    logits: list[Tensor]

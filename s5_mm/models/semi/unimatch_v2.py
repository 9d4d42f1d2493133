"""UniMatch V2 for semantic segmentation."""
from typing import Any

import torch
from torch import Tensor

from s5_mm.registry import MODELS

from .fixmatch import FixMatchSegmentor
from .pseudo_label import PseudoLabel
from .step import SemiBatch, View


@MODELS.register_module()
class UniMatchV2Segmentor(FixMatchSegmentor):
    """UniMatch V2 (arXiv 2410.10777): two strong views of each image that see complementary channels.

    Each view is distorted and mixed on its own. A channel of the encoder's maps that is doubled in one view is 0 in
    the other; half of the pairs of views keep all channels. The loss is
    ``(loss_x + unlabeled_weight * (loss_u1 + loss_u2) / 2) / 2``. Training needs about 10/7 of FixMatch's time.

    The method is defined with a teacher (``teacher=dict()``). It drops channels of what the encoder gives to the
    decode head. For an encoder whose pyramid is a part of it, such as :class:`s5_mm.ViT`, that is behind the pyramid.

    Args:
        segmentor: The network. Its decode head makes one map of logits and its loss from it.
        shared_pass: As :class:`s5_mm.SemiBaseSegmentor` takes it; the published code has two passes.
        kwargs: As :class:`s5_mm.FixMatchSegmentor` takes them.
    """

    def __init__(self, segmentor: dict, shared_pass: bool = False, **kwargs: Any) -> None:
        super().__init__(segmentor, shared_pass=shared_pass, **kwargs)

    def strong_views(self, batch: SemiBatch, target: PseudoLabel) -> list[View]:
        """Two independent views, each distorted and mixed."""
        return super().strong_views(batch, target) + super().strong_views(batch, target)

    def partner(self, view: View) -> View:
        """For each image the one that boxes are taken from: CutMix here takes it from the reversed batch."""
        return view.map(lambda x: x.flip(0))

    def perturb_features(self, features: tuple[Tensor, ...], num_labeled: int) -> tuple[Tensor, ...]:
        """Drop channels of the strong views.

        Args:
            features: The maps of all levels, each (L + 2 * N, C, h, w). Levels of the same width share one mask.
            num_labeled: L; these rows stay as they are.
        """
        num_pairs = (len(features[0]) - num_labeled) // 2
        kept = torch.randperm(num_pairs)[:num_pairs // 2]
        widths = dict.fromkeys(level.shape[1] for level in features)  # in a fixed order, unlike a set
        masks = {width: torch.cat([torch.ones(num_labeled, width), self.channel_mask(num_pairs, width, kept)])
                 for width in widths}
        return tuple(level * masks[level.shape[1]].to(level)[:, :, None, None] for level in features)

    def channel_mask(self, num_pairs: int, channels: int, kept: Tensor) -> Tensor:
        """Draw the factors of the channels.

        Args:
            num_pairs: N, each with a first and a second view.
            channels: C.
            kept: Pairs that keep all channels.

        Returns:
            (2 * N, C), the first views, then the second ones: 0 or 2, and 2 minus that; 1 in the kept pairs.
        """
        first = 2 * torch.bernoulli(torch.full((num_pairs, channels), 0.5))
        first[kept] = 1
        return torch.cat([first, 2 - first])

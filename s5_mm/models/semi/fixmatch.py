"""FixMatch for semantic segmentation: the S4P stage."""
from typing import Any

import torch
from torch import Tensor

from s5_mm.registry import MODELS

from .base import SemiBaseSegmentor
from .pseudo_label import PseudoLabel
from .step import SemiBatch, View


@MODELS.register_module()
class FixMatchSegmentor(SemiBaseSegmentor):
    """FixMatch as S4P of S5 has it (arXiv 2508.12409).

    The network, or its teacher, labels the weak view of each unlabeled image. Its prediction on the strong view
    (photometric distortion and CutMix) must agree where that label is confident. The loss is
    ``(loss_x + unlabeled_weight * loss_u) / 2``.

    Args:
        segmentor: The network.
        strong_view: Photometric distortion of images in [0, 1], see :class:`s5_mm.StrongView`.
        cutmix: Mixing with the image before in the batch, see :class:`s5_mm.CutMix`; ``None``: off.
        classmix: Pasting of labeled classes before the distortion, e.g. ``dict()``, see :class:`s5_mm.ClassMix`;
            ``None``: off.
        unlabeled_weight: Weight of the unlabeled loss, at least 0.
        kwargs: As :class:`s5_mm.SemiBaseSegmentor` takes them.

    Raises:
        ValueError: An option has no meaning or the network cannot be trained this way.
    """

    def __init__(self,
                 segmentor: dict,
                 strong_view: dict | None = None,
                 cutmix: dict | None = {},  # noqa: B006  configs are not changed
                 classmix: dict | None = None,
                 unlabeled_weight: float = 1.0,
                 **kwargs: Any) -> None:
        if unlabeled_weight < 0:
            raise ValueError(f'{type(self).__name__}: unlabeled_weight is {unlabeled_weight}; it must be at least 0.')
        super().__init__(segmentor, loss_weights=dict(loss_x=0.5, loss_u=0.5 * unlabeled_weight), **kwargs)
        self.strong_view = MODELS.build({'type': 's5_mm.StrongView', **(strong_view or {})})
        self.cutmix = None if cutmix is None else MODELS.build({'type': 's5_mm.CutMix', **cutmix})
        self.classmix = None if classmix is None else MODELS.build({'type': 's5_mm.ClassMix', **classmix})

    @property
    def shown_bands(self) -> list[int]:
        """See :class:`s5_mm.SemiBaseSegmentor`; red, green and blue where the strong view knows them."""
        return self.strong_view.rgb or super().shown_bands

    def strong_views(self, batch: SemiBatch, target: PseudoLabel) -> list[View]:
        """One strong view: the weak view, with labeled classes pasted into it if wanted, distorted, then mixed."""
        view = View(batch.weak, target)
        if self.classmix is not None:
            view = self.paste(batch, view)
        view = view._replace(images=self.distort(view.images))
        return [view if self.cutmix is None else self.mix(view)]

    @torch.no_grad()
    def paste(self, batch: SemiBatch, view: View) -> View:
        """ClassMix: pixels of labeled images, with their label, confidence 1 and weight 1.

        Unlabeled image i gets those of labeled image i, counted round. Pixels without a label do not count.
        """
        chosen = torch.arange(len(view.images)) % len(batch.labeled)
        label = torch.stack([batch.labeled_samples[i].gt_sem_seg.data[0] for i in chosen.tolist()])
        known = label < self.num_classes
        sure = torch.ones_like(view.target.confidence)
        pasted = View(batch.labeled[chosen], PseudoLabel(label * known, sure, known, sure))
        mask = self.classmix.masks(label)
        return view.map(lambda x, y: torch.where(mask[:, None] if x.dim() == 4 else mask, y.to(x), x), pasted)

    def distort(self, weak: Tensor) -> Tensor:
        """Distort the colors of normalized images (N, bands, H, W), in fp32; normalized again."""
        with torch.autocast(weak.device.type, enabled=False):
            return self.from_pixels(self.strong_view(self.to_pixels(weak)))

    @torch.no_grad()
    def mix(self, view: View) -> View:
        """CutMix of the images, and of label, confidence and padding alike.

        Raises:
            ValueError: There is one image alone.
        """
        if len(view.images) < 2:
            raise ValueError(f'{type(self).__name__}: CutMix takes its partner from the batch, which has 1 unlabeled '
                             'image; draw at least 2, or switch it off with cutmix=None.')
        partner = self.partner(view)
        box = self.cutmix.boxes(len(view.images), *view.images.shape[-2:], device=view.images.device)
        return view.map(lambda x, y: self.cutmix.mix(x, y, box), partner)

    def partner(self, view: View) -> View:
        """For each image of a view the one that boxes are taken from: here the image before in the batch."""
        return view.map(lambda x: x.roll(1, dims=0))

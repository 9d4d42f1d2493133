"""The base of semi-supervised segmentors: one training step as a sequence of steps that a method can override.

Shapes: L labeled and N unlabeled images of H x W pixels, V strong views of each unlabeled image, K classes.
"""
import contextlib
from collections.abc import Callable

import torch
from mmseg.models import BaseSegmentor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor, nn

from s5_mm.models.backbones.asking import complete_preprocessor
from s5_mm.models.batch_norm import batch_norms, counting, keeping
from s5_mm.models.networks import evaluating, predicting
from s5_mm.models.segmentors.image_metas import image_metas
from s5_mm.registry import MODELS
from s5_mm.routing import Route

from .pseudo_label import PseudoLabel
from .step import SemiBatch, SemiStep, View


class SemiBaseSegmentor(BaseSegmentor):
    """Train an mmseg ``EncoderDecoder``, the student, on labeled and unlabeled images.

    A method implements :meth:`strong_views` and overrides the other steps of :meth:`loss` where it differs. Batches
    hold samples of two sources (see :class:`s5_mm.MultiSourceDataset`). With a teacher, training needs
    :class:`s5_mm.MeanTeacherHook`.

    Args:
        segmentor: The student; not a binary head with one output channel.
        data_preprocessor: mmseg's; the student's encoder states ``mean`` and ``std``.
        consistency: The loss of a strong view, e.g. ``dict(tau=0.8)``; ``type`` defaults to
            :class:`s5_mm.ConsistencyLoss`.
        selection: How much the pseudo-label of each pixel counts, a :class:`s5_mm.Selection`, e.g.
            ``dict(type='s5_mm.ClassMean')``. ``None``: pixels from the threshold of ``consistency`` on count.
        alignment: What makes pseudo-labels follow the labels' class shares, e.g. ``dict(type='s5_mm.ShareAlignment')``;
            ``None``: off.
        loss_weights: Weight of each loss in the total, by name; a loss that is not named has the weight 1.
        teacher: Averages the student's weights. The average then labels the weak views and is what is evaluated and
            published. ``dict()``: after step i of the optimizer (from 0) it becomes ``r * teacher + (1 - r) * student``
            with ``r = min(1 - 1 / (i + 1), 0.996)``, over parameters and float buffers (UniMatch V2, arXiv 2410.10777).
            Keys are those of MMEngine's ``MomentumAnnealingEMA``. ``None``: no teacher.
        pool_batch_norm: Whether the teacher's batch norms keep statistics of the weak views instead of the student's,
            which has seen labeled images and strong views. Costs a pass without gradient.
        pseudo_label_autocast: Whether weak views are labeled in the precision of training instead of fp32.
        shared_pass: Whether labeled images and strong views share one pass of the student, where the decode head allows
            it. If not, batch norms see them apart.
        labeled: Name of the labeled source.
        unlabeled: Name of the unlabeled source.
        pretrained: Not used; mmseg's ``init_model`` gives it.
        train_cfg: Likewise.
        init_cfg: MMEngine's initialization.

    Attributes:
        observers: Functions that are called with the :class:`SemiStep` of every training step.
        teacher_is_updated: Whether a hook updates the teacher; :class:`s5_mm.MeanTeacherHook` sets it.

    Raises:
        ValueError: An option has no meaning or the student cannot be trained this way.
    """

    encoder_prefix = 'segmentor.backbone.'

    def __init__(self,
                 segmentor: dict,
                 data_preprocessor: dict | None = None,
                 consistency: dict | None = None,
                 selection: dict | None = None,
                 alignment: dict | None = None,
                 loss_weights: dict[str, float] | None = None,
                 teacher: dict | None = None,
                 pool_batch_norm: bool = False,
                 pseudo_label_autocast: bool = False,
                 shared_pass: bool = True,
                 labeled: str = 'labeled',
                 unlabeled: str = 'unlabeled',
                 pretrained: None = None,
                 train_cfg: None = None,
                 init_cfg: dict | None = None) -> None:
        student = MMSEG_MODELS.build(segmentor)
        super().__init__(data_preprocessor=complete_preprocessor(data_preprocessor, student.backbone),
                         init_cfg=init_cfg)
        self.segmentor = student
        self.consistency = MODELS.build({'type': 's5_mm.ConsistencyLoss', **(consistency or {})})
        classes = dict(num_classes=student.out_channels)
        self.selection = None if selection is None else MODELS.build(selection, default_args=classes)
        self.alignment = None if alignment is None else MODELS.build(alignment, default_args=classes)
        self.loss_weights = dict(loss_weights or {})
        self.teacher = None if teacher is None else MODELS.build(
            dict(type='mmengine.MomentumAnnealingEMA', momentum=0.004, gamma=1, update_buffers=True) | teacher,
            default_args=dict(model=self.segmentor))
        self.teacher_is_updated = False
        self.pool_batch_norm = pool_batch_norm
        self.pseudo_label_autocast = pseudo_label_autocast
        self.shared_pass = shared_pass
        self.labeled = labeled
        self.unlabeled = unlabeled
        self.observers: list[Callable[[SemiStep], None]] = []
        self._check_student()

    # The steps of a training step, in their order.

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """One training step.

        Args:
            inputs: Normalized images of both sources, (L + N, 3, H, W), in any order.
            data_samples: Their data samples; ``gt_sem_seg`` of unlabeled ones is not 0 where there is padding.

        Returns:
            ``loss_x`` of the labeled images, what :meth:`loss_unlabeled` gives, and what the heads report.
        """
        batch = self.split(inputs, data_samples)
        target = self.pseudo_label(batch)
        views = self.strong_views(batch, target)
        losses, logits = self.forward_student(batch, views)
        losses |= self.loss_unlabeled(logits, views)
        if self.observers:
            step = SemiStep(batch, target, views, logits)
            for observe in self.observers:
                observe(step)
        return losses

    def split(self, inputs: Tensor, data_samples: list[SegDataSample]) -> SemiBatch:
        """Divide a batch by source.

        Args:
            inputs: As :meth:`loss` has them.
            data_samples: As :meth:`loss` has them.

        Raises:
            RuntimeError: There is a teacher that no hook updates.
            ValueError: The batch has other sources, or the padding of an unlabeled image is not marked.
        """
        name = type(self).__name__
        if self.teacher is not None and not self.teacher_is_updated:
            raise RuntimeError(f"{name}: model.teacher is set, but no hook updates it; add "
                               "dict(type='s5_mm.MeanTeacherHook') to custom_hooks, or set model.teacher=None.")
        route = Route.from_samples(data_samples)
        images, samples = route.split(inputs), route.split(data_samples)
        wanted = {self.labeled, self.unlabeled}
        if set(samples) != wanted:
            raise ValueError(f'{name}: the batch has the sources {sorted(samples)}, expected {sorted(wanted)}; use '
                             'these names in MultiSourceDataset.sources and MultiSourceSampler.per_batch, or set '
                             'model.labeled and model.unlabeled.')
        if not all('gt_sem_seg' in sample for sample in samples[self.unlabeled]):
            raise ValueError(f'{name}: samples of the source {self.unlabeled!r} do not mark their padding; put '
                             's5_mm.UnlabeledMask behind the loading step of their pipeline.')
        return SemiBatch(images[self.labeled], samples[self.labeled], images[self.unlabeled], samples[self.unlabeled])

    @torch.no_grad()
    def pseudo_label(self, batch: SemiBatch) -> PseudoLabel:
        """Label the weak views: the most probable class of each pixel, (N, H, W); alignment and selection learn."""
        valid = torch.stack([sample.gt_sem_seg.data[0] for sample in batch.weak_samples]) == 0
        self.learn_from_labels(batch)
        logits = self.label_logits(batch)
        if self.alignment is not None:
            self.alignment.update(logits.float().softmax(dim=1), valid)
            logits = self.alignment(logits.float())
        target = PseudoLabel.from_logits(logits, valid)
        if self.selection is None:
            return target
        self.selection.update(logits.float().softmax(dim=1), target)
        return target._replace(weight=self.selection(target))

    def learn_from_labels(self, batch: SemiBatch) -> None:
        """Show the labeled images to alignment and selection."""
        rules = [rule for rule in (self.alignment, self.selection) if rule is not None]
        if not rules:
            return
        truth = torch.stack([sample.gt_sem_seg.data[0] for sample in batch.labeled_samples])
        scores = None
        if any(rule.needs_labeled_scores for rule in rules):
            scores = self.evaluated_logits(batch.labeled).float().softmax(dim=1)
        for rule in rules:
            rule.update_labeled(truth, scores)

    @torch.no_grad()
    def judge(self, images: Tensor, valid: Tensor) -> PseudoLabel:
        """Label images as in training, without learning from them.

        Args:
            images: Normalized, (N, 3, H, W).
            valid: True where there is image, (N, H, W).

        Returns:
            The pseudo-label; its ``weight`` may be ``None``, see :class:`ConsistencyLoss`.
        """
        logits = self.evaluated_logits(images).float()
        target = PseudoLabel.from_logits(logits if self.alignment is None else self.alignment(logits), valid)
        return target if self.selection is None else target._replace(weight=self.selection(target))

    def label_logits(self, batch: SemiBatch) -> Tensor:
        """Logits of the weak views, (N, K, H, W), by the evaluated network in eval mode."""
        if self.pool_batch_norm and self.evaluated is not self.segmentor:
            with counting(self.evaluated):
                self.evaluated_logits(batch.weak)
        return self.evaluated_logits(batch.weak)

    @torch.no_grad()
    def evaluated_logits(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W) of normalized images (B, 3, H, W), by the evaluated network in eval mode."""
        precision = contextlib.nullcontext() if self.pseudo_label_autocast else torch.autocast(
            images.device.type, enabled=False)
        network = self.evaluated
        with evaluating(network), precision:
            return network.encode_decode(images, image_metas(images))

    def strong_views(self, batch: SemiBatch, target: PseudoLabel) -> list[View]:
        """Make V strong views of the unlabeled images, each with its pseudo-label.

        Args:
            batch: The batch; a method may paste labeled images into the views.
            target: The pseudo-label of the weak views.
        """
        raise NotImplementedError(f'{type(self).__name__} must implement strong_views.')

    def forward_student(self, batch: SemiBatch, views: list[View]) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Losses of the labeled images and logits of the strong views, in one pass or in two (``shared_pass``).

        Returns:
            ``loss_x`` with what the heads report, and logits (N, K, H, W) of each view.
        """
        student, samples = self.segmentor, batch.labeled_samples
        strong = torch.cat([view.images for view in views])
        metas = image_metas(strong)
        if not works_in_two_steps(student.decode_head):
            losses = student.loss(batch.labeled, samples)
            with predicting(student):
                logits = student.encode_decode(strong, metas)
        elif self.shared_pass:
            number = len(batch.labeled)
            features = self.perturb_features(student.extract_feat(torch.cat([batch.labeled, strong])), number)
            logits = self.decode(features)
            losses = self.loss_labeled([level[:number] for level in features], logits[:number], samples)
            logits = student.decode_head.predict_by_feat(logits[number:], metas)
        else:
            features = student.extract_feat(batch.labeled)
            losses = self.loss_labeled(features, self.decode(features), samples)
            logits = self.decode(self.perturb_features(student.extract_feat(strong), 0))
            logits = student.decode_head.predict_by_feat(logits, metas)
        loss_x = sum(value for name, value in losses.items() if 'loss' in name)
        reports = {name: value for name, value in losses.items() if 'loss' not in name}
        return dict(loss_x=loss_x, **reports), list(logits.chunk(len(views)))

    def perturb_features(self, features: tuple[Tensor, ...], num_labeled: int) -> tuple[Tensor, ...]:
        """Change the encoder's features of the strong views; here they stay as they are.

        Args:
            features: The maps of all levels, each (L + V * N, C, h, w): the labeled images, then view after view.
            num_labeled: L; these rows must stay as they are. 0 if the labeled images have a pass of their own.

        Returns:
            Maps of the same shapes.
        """
        return features

    def decode(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (B, K, h, w) of the images that share a pass, at the size of the decode head's output."""
        return self.segmentor.decode_head(features)

    def loss_labeled(self, features: list[Tensor], logits: Tensor,
                     data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Losses and reports of all heads for the labeled images.

        Args:
            features: The maps of all levels, each (L, C, h, w).
            logits: Of the decode head, (L, K, h, w).
            data_samples: The labeled samples.
        """
        student = self.segmentor
        losses = add_prefix(student.decode_head.loss_by_feat(logits, data_samples), 'decode')
        if student.with_auxiliary_head:
            several = isinstance(student.auxiliary_head, nn.ModuleList)
            for i, head in enumerate(student.auxiliary_head if several else [student.auxiliary_head]):
                loss = head.loss(features, data_samples, student.train_cfg)
                losses |= add_prefix(loss, f'aux_{i}' if several else 'aux')
        return losses

    def loss_unlabeled(self, logits: list[Tensor], views: list[View]) -> dict[str, Tensor]:
        """The consistency loss.

        Args:
            logits: Of each strong view, (N, K, H, W).
            views: The strong views.

        Returns:
            ``loss_u`` and ``mask_ratio``, the share of confident pixels; means over the views. Every entry with
            ``loss`` in its name becomes a part of the total.
        """
        found = [self.consistency(scores, view.target) for scores, view in zip(logits, views, strict=True)]
        loss_u, mask_ratio = (torch.stack(values).mean() for values in zip(*found, strict=True))
        return dict(loss_u=loss_u, mask_ratio=mask_ratio)

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The total, weighted by ``loss_weights``, and the unweighted terms for the log."""
        _, log_vars = super().parse_losses(losses)
        total = sum(self.loss_weights.get(name, 1.0) * log_vars[name] for name in losses if 'loss' in name)
        return total, log_vars | dict(loss=total)

    def update_teacher(self) -> None:
        """Average the student into the teacher; :class:`s5_mm.MeanTeacherHook` calls it after the optimizer's step."""
        own_norms = self.pool_batch_norm and self.teacher.steps > 0
        with keeping(self.teacher.module) if own_norms else contextlib.nullcontext():
            self.teacher.update_parameters(self.segmentor)

    # Images in and out.

    @property
    def shown_bands(self) -> list[int]:
        """Positions of the three bands that pictures for people show."""
        return [0, 1, 2] if getattr(self.segmentor.backbone, 'in_channels', 3) >= 3 else [0, 0, 0]

    def to_pixels(self, images: Tensor) -> Tensor:
        """Normalized images (N, bands, H, W) in [0, 1]."""
        preprocessor = self.data_preprocessor
        if hasattr(preprocessor, 'mean'):
            images = images * preprocessor.std + preprocessor.mean
        return (images / 255).clamp(0, 1)

    def from_pixels(self, pixels: Tensor) -> Tensor:
        """Images (N, bands, H, W) in [0, 1], normalized."""
        preprocessor = self.data_preprocessor
        images = pixels * 255
        return (images - preprocessor.mean) / preprocessor.std if hasattr(preprocessor, 'mean') else images

    # The evaluated network, for mmseg's loops, hooks and tools.

    align_corners = property(lambda self: self.segmentor.align_corners)
    num_classes = property(lambda self: self.segmentor.num_classes)
    out_channels = property(lambda self: self.segmentor.out_channels)

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated, tested and published: the teacher after its first update, else the student."""
        return self.segmentor if self.teacher is None or self.teacher.steps == 0 else self.teacher.module

    def train(self, mode: bool = True) -> 'SemiBaseSegmentor':
        """Switch the mode; the teacher stays in eval mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Features of the evaluated network."""
        return self.evaluated.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of the evaluated network at the size of the images."""
        return self.evaluated.encode_decode(inputs, batch_img_metas)

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Predictions of the evaluated network, as mmseg's segmentors give them."""
        return self.evaluated.predict(inputs, data_samples)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter and number of depths, for layer-wise learning rates; heads have the last depth."""
        return self.segmentor.backbone.get_layer_depth(param_name, prefix + self.encoder_prefix)

    def _forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> Tensor:
        return self.evaluated(inputs, data_samples, mode='tensor')

    def _check_student(self) -> None:
        name, head = type(self).__name__, self.segmentor.decode_head
        if self.segmentor.out_channels < 2:
            raise ValueError(f'{name}: the decode head has one output channel; give it two (background and object), '
                             'since confidence is taken from a softmax.')
        if self.pool_batch_norm and (self.teacher is None or not batch_norms(self.segmentor)):
            raise ValueError(f'{name}: pool_batch_norm is about the batch norms of a teacher, the model has no '
                             f'{"teacher; set model.teacher=dict()" if self.teacher is None else "batch norm"}, or '
                             'leave pool_batch_norm out.')
        weights = getattr(self.consistency, 'class_weight', None)
        if weights is not None and len(weights) != self.segmentor.out_channels:
            raise ValueError(f'{name}: consistency.class_weight has {len(weights)} numbers, the decode head '
                             f'{self.segmentor.out_channels} classes; give one number for each class.')
        perturbs = type(self).perturb_features is not SemiBaseSegmentor.perturb_features
        if perturbs and not works_in_two_steps(head):
            raise ValueError(f'{name} perturbs features, which needs a decode head that makes one map of logits and '
                             f'its loss from it; {type(head).__name__} has a loss or a prediction of its own.')


def works_in_two_steps(head: nn.Module) -> bool:
    """Whether a decode head makes one map of logits and its loss from it, so that views can share the first step."""
    usual = ('loss', 'loss_by_feat', 'predict', 'predict_by_feat')
    return isinstance(head, BaseDecodeHead) and all(
        getattr(type(head), name) is getattr(BaseDecodeHead, name) for name in usual)

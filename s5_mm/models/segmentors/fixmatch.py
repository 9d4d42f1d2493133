"""FixMatch for semantic segmentation: the S4P stage."""
import contextlib
from collections.abc import Iterator

import torch
from mmseg.models import BaseSegmentor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from s5_mm.models.semi import PseudoLabel
from s5_mm.registry import MODELS
from s5_mm.routing import Route

from .image_metas import image_metas

LABELED, UNLABELED, PARTNER = 'labeled', 'unlabeled', 'partner'


@MODELS.register_module()
class FixMatchSegmentor(BaseSegmentor):
    """Train any mmseg ``EncoderDecoder`` on labeled and unlabeled images (S4P of S5, arXiv 2508.12409).

    The network labels the weak view of each unlabeled image, in eval mode; the strong view (photometric distortion and
    CutMix) must agree where that label is confident. The loss is ``(loss_x + unlabeled_weight * loss_u) / 2``. Batches
    hold samples of the sources ``labeled`` and ``unlabeled`` (see :class:`s5_mm.MultiSourceDataset`). The labeled and
    the strong views go through the network together.

    Args:
        segmentor: The network; not a binary head with one output channel.
        data_preprocessor: mmseg's; normalizes to what the network expects.
        strong_view: Photometric distortion of images in [0, 1].
        cutmix: ``None`` switches it off.
        cutmix_partner: ``'batch'``: the image before in the batch. ``'loader'``: the sample at the same place of a
            third source named ``partner``, as the published code draws it.
        consistency: The unlabeled loss; ``dict(tau=0.8)`` changes the threshold.
        unlabeled_weight: Weight of the unlabeled loss, at least 0.
        teacher: Averages the network's weights; the average then labels the weak views and is what gets evaluated and
            published. ``dict()`` takes a momentum of ``min(1 - 1 / (t + 1), 0.996)`` over parameters and float buffers
            (UniMatch V2); keys are those of MMEngine's ``MomentumAnnealingEMA``. ``None``: no teacher.
        pseudo_label_autocast: Whether weak views are labeled in the precision of training; S5 labels in fp32.
        init_cfg: MMEngine's initialization.

    Raises:
        ValueError: An option has no meaning or the network cannot be trained this way.
    """

    encoder_prefix = 'segmentor.backbone.'

    def __init__(self,
                 segmentor: dict,
                 data_preprocessor: dict | None = None,
                 strong_view: dict | None = None,
                 cutmix: dict | None = {},  # noqa: B006  configs are not changed
                 cutmix_partner: str = 'batch',
                 consistency: dict | None = None,
                 unlabeled_weight: float = 1.0,
                 teacher: dict | None = None,
                 pseudo_label_autocast: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if cutmix_partner not in ('batch', 'loader'):
            raise ValueError(f"FixMatchSegmentor: cutmix_partner is {cutmix_partner!r}; choose 'batch' or 'loader'.")
        if unlabeled_weight < 0:
            raise ValueError(f'FixMatchSegmentor: unlabeled_weight is {unlabeled_weight}, it must be at least 0.')
        self.segmentor = MMSEG_MODELS.build(segmentor)
        if self.segmentor.out_channels < 2:
            raise ValueError('FixMatchSegmentor: the decode head has one output channel; give it two (background and '
                             'object), since confidence is taken from a softmax.')
        self.strong_view = MODELS.build({'type': 's5_mm.StrongView', **(strong_view or {})})
        self.cutmix = None if cutmix is None else MODELS.build({'type': 's5_mm.CutMix', **cutmix})
        self.cutmix_partner = cutmix_partner
        self.consistency = MODELS.build({'type': 's5_mm.ConsistencyLoss', **(consistency or {})})
        weights = self.consistency.class_weight
        if weights is not None and len(weights) != self.segmentor.out_channels:
            raise ValueError(f'FixMatchSegmentor: consistency.class_weight has {len(weights)} numbers, the decode head '
                             f'{self.segmentor.out_channels} classes; give one number for each class.')
        self.unlabeled_weight = unlabeled_weight
        self.teacher = None if teacher is None else self._build_teacher(teacher)
        self.pseudo_label_autocast = pseudo_label_autocast
        self.keep_views = False
        self.views: dict[str, Tensor] = {}

    def _build_teacher(self, cfg: dict) -> nn.Module:
        defaults = dict(type='mmengine.MomentumAnnealingEMA', momentum=0.004, gamma=1, update_buffers=True)
        return MODELS.build({**defaults, **cfg}, default_args=dict(model=self.segmentor))

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated, tested and published: the teacher once it has been updated."""
        return self.segmentor if self.teacher is None or self.teacher.steps == 0 else self.teacher.module

    # Asked for by mmseg's hooks and tools.
    align_corners = property(lambda self: self.segmentor.align_corners)
    num_classes = property(lambda self: self.segmentor.num_classes)
    out_channels = property(lambda self: self.segmentor.out_channels)

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """One FixMatch step.

        Args:
            inputs: Normalized images of all sources, (B, 3, H, W).
            data_samples: Theirs; ``gt_sem_seg`` of unlabeled ones marks padding with a non-zero id.

        Returns:
            ``loss_x``, ``loss_u``, ``mask_ratio`` (share of confident pixels) and what the heads report.
        """
        route = Route.from_samples(data_samples)
        images, samples = route.split(inputs), route.split(data_samples)
        self._check_sources(samples)
        if self.teacher is not None:
            self.teacher.update_parameters(self.segmentor)

        weak = images[UNLABELED]
        target = self.pseudo_label(weak, samples[UNLABELED])
        strong = self._distort(weak)
        mixed, mixed_target = strong, target
        if self.cutmix is not None:
            mixed, mixed_target = self.mix(strong, target, images.get(PARTNER), samples.get(PARTNER))

        losses, logits = self.forward_student(images[LABELED], samples[LABELED], mixed)
        loss_u, mask_ratio = self.consistency(logits, mixed_target)
        if self.keep_views:
            self._store_views(images[LABELED], samples[LABELED], weak, target, mixed, logits)
        loss_x = sum(value for name, value in losses.items() if 'loss' in name)
        reports = {name: value for name, value in losses.items() if 'loss' not in name}
        return dict(loss_x=loss_x, loss_u=loss_u, mask_ratio=mask_ratio, **reports)

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The total, (loss_x + unlabeled_weight * loss_u) / 2, and the unweighted terms for the log."""
        _, log_vars = super().parse_losses(losses)
        total = (losses['loss_x'] + self.unlabeled_weight * losses['loss_u']) / 2
        log_vars['loss'] = total
        return total, log_vars

    @torch.no_grad()
    def pseudo_label(self, weak: Tensor, data_samples: list[SegDataSample]) -> PseudoLabel:
        """Label weak views (N, 3, H, W) with the network, or its teacher, in eval mode."""
        network = self.evaluated
        precision = contextlib.nullcontext() if self.pseudo_label_autocast else torch.autocast(
            weak.device.type, enabled=False)
        with _evaluating(network), precision:
            logits = network.encode_decode(weak, image_metas(weak))
        valid = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples]) == 0
        return PseudoLabel.from_logits(logits, valid)

    @torch.no_grad()
    def mix(self, strong: Tensor, target: PseudoLabel, partner: Tensor | None,
            partner_samples: list[SegDataSample] | None) -> tuple[Tensor, PseudoLabel]:
        """CutMix of the images and of label, confidence and padding alike.

        Args:
            strong: Strong views, (N, 3, H, W).
            target: Their pseudo-labels.
            partner: Weak views of the third source, (N, 3, H, W); ``None`` with partners from the batch.
            partner_samples: Theirs.
        """
        if partner is None:
            other, other_target = strong.roll(1, dims=0), target.map(lambda x: x.roll(1, dims=0))
        else:
            other, other_target = self._distort(partner), self.pseudo_label(partner, partner_samples)
        box = self.cutmix.boxes(len(strong), *strong.shape[-2:], device=strong.device)
        mixed = (self.cutmix.mix(x, y, box) for x, y in zip(target, other_target, strict=True))
        return self.cutmix.mix(strong, other, box), PseudoLabel(*mixed)

    def forward_student(self, labeled: Tensor, data_samples: list[SegDataSample],
                        strong: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of the labeled and logits of the strong views.

        Returns:
            The network's own losses and reports, and logits (N, K, H, W).
        """
        head = self.segmentor.decode_head
        if not _works_in_two_steps(head):
            losses = self.segmentor.loss(labeled, data_samples)
            with _predicting_alone(self.segmentor):
                return losses, self.segmentor.encode_decode(strong, image_metas(strong))
        features = self.segmentor.extract_feat(torch.cat([labeled, strong]))
        logits = head(features)
        losses = {f'decode.{name}': value
                  for name, value in head.loss_by_feat(logits[:len(labeled)], data_samples).items()}
        if self.segmentor.with_auxiliary_head:
            features = [level[:len(labeled)] for level in features]
            losses.update(self.segmentor._auxiliary_head_forward_train(features, data_samples))
        return losses, head.predict_by_feat(logits[len(labeled):], image_metas(strong))

    def _distort(self, weak: Tensor) -> Tensor:
        """The strong photometric view of normalized images, normalized again."""
        with torch.autocast(weak.device.type, enabled=False):
            return self._normalize(self.strong_view(self._pixels(weak)))

    def _pixels(self, images: Tensor) -> Tensor:
        """Normalized images as RGB in [0, 1]."""
        preprocessor = self.data_preprocessor
        if getattr(preprocessor, '_enable_normalize', False):
            images = images * preprocessor.std + preprocessor.mean
        return (images / 255).clamp(0, 1)

    def _normalize(self, pixels: Tensor) -> Tensor:
        preprocessor = self.data_preprocessor
        images = pixels * 255
        if getattr(preprocessor, '_enable_normalize', False):
            images = (images - preprocessor.mean) / preprocessor.std
        return images

    def _check_sources(self, samples: dict[str, list]) -> None:
        wanted = {LABELED, UNLABELED} | ({PARTNER} if self.cutmix and self.cutmix_partner == 'loader' else set())
        if set(samples) != wanted:
            raise ValueError(f'FixMatchSegmentor: the batch holds sources {sorted(samples)}, expected {sorted(wanted)}'
                             '; name them so in MultiSourceDataset.sources and MultiSourceSampler.per_batch.')
        if PARTNER in wanted and len(samples[PARTNER]) != len(samples[UNLABELED]):
            raise ValueError(f'FixMatchSegmentor: {len(samples[PARTNER])} partners for {len(samples[UNLABELED])} '
                             'unlabeled images; give both the same number in MultiSourceSampler.per_batch.')
        if self.cutmix and self.cutmix_partner == 'batch' and len(samples[UNLABELED]) < 2:
            raise ValueError('FixMatchSegmentor: CutMix takes its partner from the batch, which has 1 unlabeled image; '
                             'draw at least 2 or switch it off with cutmix=None.')
        if not all('gt_sem_seg' in sample for name in wanted - {LABELED} for sample in samples[name]):
            raise ValueError('FixMatchSegmentor: unlabeled samples do not mark their padding; put s5_mm.UnlabeledMask '
                             'behind the loading step of their pipeline.')

    def _store_views(self, labeled: Tensor, data_samples: list[SegDataSample], weak: Tensor, target: PseudoLabel,
                     strong: Tensor, logits: Tensor) -> None:
        """Keep what a panel shows, of the first image of each source."""
        self.views = dict(
            labeled=self._pixels(labeled[0]),
            ground_truth=data_samples[0].gt_sem_seg.data[0],
            weak=self._pixels(weak[0]),
            pseudo_label=target.label[0],
            confident=self.consistency.confident(target)[0],
            strong=self._pixels(strong[0]),
            prediction=logits[0].detach().argmax(dim=0))

    def train(self, mode: bool = True) -> 'FixMatchSegmentor':
        """Switch the mode; the teacher stays in eval mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Features of the evaluated network."""
        return self.evaluated.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of the evaluated network at image size."""
        return self.evaluated.encode_decode(inputs, batch_img_metas)

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Predictions of the evaluated network, as mmseg's segmentors give them."""
        return self.evaluated.predict(inputs, data_samples)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter and number of depths, for layer-wise learning rates; heads are at the last."""
        return self.segmentor.backbone.get_layer_depth(param_name, f'{prefix}segmentor.backbone.')

    def _forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> Tensor:
        return self.evaluated(inputs, data_samples, mode='tensor')


@contextlib.contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


@contextlib.contextmanager
def _predicting_alone(network: nn.Module) -> Iterator[None]:
    """Let a backbone and heads that give several outputs in training give their prediction alone.

    Only their own flag changes: norms and dropout inside them go on training.
    """
    heads = network.decode_head
    parts = [network.backbone, *(heads if isinstance(heads, nn.ModuleList) else [heads])]
    modes = [part.training for part in parts]
    for part in parts:
        part.training = False
    try:
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def _works_in_two_steps(head: nn.Module) -> bool:
    """Whether a head makes one map of logits and its loss from it, as usual, so that views can share the first step."""
    usual = ('loss', 'loss_by_feat', 'predict', 'predict_by_feat')
    return isinstance(head, BaseDecodeHead) and all(getattr(type(head), name) is getattr(BaseDecodeHead, name)
                                                    for name in usual)

"""One segmentor for several data sets: MDF and MoE-MDF."""
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from mmcv.ops import SyncBatchNorm
from mmengine.dist import get_world_size
from mmengine.logging import MessageHub
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from s5_mm.checkpoints.segmentor import ENCODER, fit_segmentor, part_of, translate_segmentor
from s5_mm.models.backbones.vit_moe import check_names
from s5_mm.models.layers import MoEFFN
from s5_mm.registry import MODELS
from s5_mm.routing import Route

from .dataset_settings import DatasetSettings
from .image_metas import image_metas
from .protocols import build_protocol

SYNC_BN = (nn.SyncBatchNorm, SyncBatchNorm)


@MODELS.register_module()
class MultiDatasetSegmentor(BaseSegmentor):
    """A shared encoder with a decode head for each data set (MDF, and with :class:`s5_mm.ViTMoE` MoE-MDF of S5).

    A sample says by ``dataset_name`` in its metainfo which data set it belongs to. Batches may mix data sets in any
    order: the encoder's shared layers see all images at once, experts and decode heads those of their data set. Files
    of other segmentors load by themselves, see :func:`s5_mm.checkpoints.segmentor.translate_segmentor`.

    While a data set's losses have the weight 0 (``start``), its images go through the network all the same, so that
    every process of distributed training gets gradients for the same parameters; an optimizer with weight decay shrinks
    its expert and decoder meanwhile.

    Args:
        backbone: The encoder; :class:`s5_mm.ViTMoE` gets its ``datasets`` from here. Any other is shared entirely.
        decode_head: Config of every data set's decode head, any of mmseg's.
        datasets: Name -> the fields of :class:`DatasetSettings`, e.g. ``dict(city=dict(num_classes=5), ...)``.
        neck: Between encoder and heads, shared.
        data_preprocessor: mmseg's.
        frozen_except: Data sets whose experts and decode heads alone are trained; empty: everything is.
        train_cfg: Handed to the heads.
        test_cfg: Test protocol of data sets that have none of their own.
        init_cfg: MMEngine's initialisation; ``dict(type='Pretrained', checkpoint=...)`` of any known segmentor.

    Raises:
        ValueError: A data set's settings are wrong.
    """

    def __init__(self,
                 backbone: dict,
                 decode_head: dict,
                 datasets: dict[str, dict],
                 neck: dict | None = None,
                 data_preprocessor: dict | None = None,
                 frozen_except: Sequence[str] = (),
                 train_cfg: dict | None = None,
                 test_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.datasets = check_names(datasets)
        self.settings = {name: DatasetSettings.from_config(name, cfg) for name, cfg in datasets.items()}
        self.backbone = self._build_backbone(backbone)
        if neck is not None:
            self.neck = MMSEG_MODELS.build(neck)
        self.decode_heads = nn.ModuleDict({
            name: MMSEG_MODELS.build(settings.head_cfg(decode_head)) for name, settings in self.settings.items()})
        self.protocols = {name: build_protocol(settings.test_cfg or test_cfg or {})
                          for name, settings in self.settings.items()}
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        self._freeze(tuple(frozen_except))
        self._register_load_state_dict_pre_hook(self._adapt_loaded)

    def _build_backbone(self, cfg: dict) -> nn.Module:
        kind = cfg['type']
        kind = MMSEG_MODELS.get(kind) if isinstance(kind, str) else kind
        self.takes_route = getattr(kind, 'takes_route', False)
        return MMSEG_MODELS.build(cfg, default_args=dict(datasets=self.datasets) if self.takes_route else None)

    def _freeze(self, trained: tuple[str, ...]) -> None:
        unknown = [name for name in trained if name not in self.datasets]
        if unknown:
            raise ValueError(f'MultiDatasetSegmentor: frozen_except names {unknown}; choose from {self.datasets}.')
        self.frozen = tuple(name for name in self.datasets if name not in trained) if trained else ()
        self.shared_frozen = bool(trained)
        if trained:
            self.requires_grad_(False)
            for name in trained:
                for parameter in self.parameters_of(name):
                    parameter.requires_grad = True

    def parameters_of(self, dataset: str) -> list[nn.Parameter]:
        """Parameters that only one data set uses: its experts and its decode head."""
        experts = [ffn.experts[dataset] for ffn in self.backbone.modules() if isinstance(ffn, MoEFFN)]
        return [parameter for part in (*experts, self.decode_heads[dataset]) for parameter in part.parameters()]

    def train(self, mode: bool = True) -> 'MultiDatasetSegmentor':
        """Switch the mode.

        What is frozen stays in eval mode: decode heads that are not trained, and the batch norms of encoder and neck,
        whose running statistics decide every data set's results.
        """
        super().train(mode)
        for name in self.frozen:
            self.decode_heads[name].eval()
        if self.shared_frozen:
            for part in (*self.backbone.modules(), *(self.neck.modules() if self.with_neck else ())):
                if isinstance(part, (_BatchNorm, *SYNC_BN)):
                    part.eval()
        return self

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Losses of a batch that mixes data sets.

        Args:
            inputs: Normalised images, (B, 3, H, W).
            data_samples: Theirs, with ``gt_sem_seg`` and ``dataset_name``.

        Returns:
            ``DATASET.LOSS``, weighted, and what the heads report.
        """
        route = self._route(data_samples)
        if self.training:
            self.check_batch(dict(zip(route.names, route.sizes, strict=True)), complete=False)
        samples = route.split(data_samples)
        losses = {}
        for name, features in self._features(inputs, route).items():
            weight = self._loss_weight(name)
            for key, value in self.decode_heads[name].loss(features, samples[name], self.train_cfg).items():
                losses[f'{name}.{key}'] = value * weight if 'loss' in key else value
        absent = [parameter.sum() for name in self.datasets if name not in samples
                  for parameter in self.parameters_of(name) if parameter.requires_grad]
        if absent:
            # Distributed training waits for a gradient of every parameter.
            losses['loss_absent'] = 0 * torch.stack(absent).sum()
        return losses

    def _features(self, inputs: Tensor, route: Route) -> dict[str, list[Tensor]]:
        """Feature maps of each data set, from one forward of the encoder."""
        maps = self.extract_feat(route.group(inputs), route.grouped)
        levels = [level.split(route.sizes) for level in maps]
        return dict(zip(route.names, map(list, zip(*levels, strict=True)), strict=True))

    def _loss_weight(self, dataset: str) -> float:
        """Weight of a data set's losses now."""
        settings, hub = self.settings[dataset], MessageHub.get_current_instance()
        step, steps = hub.get_info('iter'), hub.get_info('max_iters')
        return 0.0 if steps and step < settings.start * steps else settings.loss_weight

    def extract_feat(self, inputs: Tensor, route: Route) -> tuple[Tensor, ...]:
        """Feature maps of images (B, 3, H, W), in their order."""
        maps = self.backbone(inputs, route) if self.takes_route else self.backbone(inputs)
        return self.neck(maps) if self.with_neck else maps

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (B, K, H, W) of images (B, 3, H, W) of one data set.

        Raises:
            ValueError: The images are of several data sets, or of an unknown one.
        """
        route = self._route([SegDataSample(metainfo=meta) for meta in batch_img_metas])
        if len(route.names) > 1:
            raise ValueError(f'MultiDatasetSegmentor: images of {list(route.names)} have no common classes; give those '
                             'of one data set, or use predict().')
        return self._logits(inputs, dataset=route.names[0])

    def _logits(self, images: Tensor, dataset: str) -> Tensor:
        features = self.extract_feat(images, Route((dataset, ), (len(images), ), None))
        return self.decode_heads[dataset].predict(features, image_metas(images), self.test_cfg)

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Predict each data set's images by its own protocol.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: Theirs, with ``dataset_name``.

        Returns:
            The samples, with ``pred_sem_seg`` and ``seg_logits`` (the protocol's scores) at the original size.
        """
        route = self._route(data_samples)
        samples = route.split(data_samples)
        for name, images in route.split(inputs).items():
            metas = [sample.metainfo for sample in samples[name]]
            scores = self.protocols[name](partial(self._logits, dataset=name), images, metas)
            head = self.decode_heads[name]
            # mmseg's method reads nothing else from the segmentor, and the heads may differ in both.
            owner = SimpleNamespace(align_corners=head.align_corners, decode_head=head)
            BaseSegmentor.postprocess_result(owner, scores, samples[name])
        return data_samples

    def _forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> dict[str, Tensor]:
        """What the heads give, by data set."""
        route = self._route(data_samples)
        return {name: self.decode_heads[name](features) for name, features in self._features(inputs, route).items()}

    def _route(self, data_samples: list[SegDataSample] | None) -> Route:
        """The route, of known data sets."""
        told = [sample.metainfo.get('dataset_name') for sample in data_samples or [SegDataSample()]]
        unknown = [name for name in told if name not in self.datasets]
        if unknown:
            raise ValueError(f'MultiDatasetSegmentor: a sample\'s dataset_name is {unknown[0]!r}, the model has '
                             f'{list(self.datasets)}; s5_mm.MultiSourceDataset and the multi-data-set loops write it, '
                             'elsewhere set it in the metainfo.')
        return Route.from_samples(data_samples)

    def check_batch(self, numbers: dict[str, int], complete: bool = True) -> None:
        """Check that a batch of this composition can be trained on.

        Args:
            numbers: Images of each data set in a batch of one process.
            complete: Whether every data set that is trained must be there.

        Raises:
            ValueError: A data set is unknown or absent where it must not be, or has too few images for its norms.
        """
        absent = [name for name in self.datasets if name not in numbers and name not in self.frozen]
        unknown = [name for name in numbers if name not in self.datasets]
        if unknown or (absent and complete):
            raise ValueError(f'Batches hold data sets {list(numbers)}, the model has {list(self.datasets)}; name the '
                             'same in MultiSourceSampler.per_batch and model.datasets (those that are not trained may '
                             'be left out, see frozen_except).')
        processes = get_world_size()
        waited_for = [name for name in absent if _has(self.decode_heads[name], SYNC_BN)]
        if waited_for and processes > 1:
            raise ValueError(f'The batch of this process holds no image of {waited_for}, whose decode heads have '
                             'SyncBN: the other processes would wait for ever. Give every process every data set '
                             '(s5_mm.MultiSourceSampler does), or use BN.')
        for name, number in numbers.items():
            least = 1 if name in self.frozen else _least_images(self.decode_heads[name], processes)
            if number < least:
                raise ValueError(f'A batch holds {number} image of data set {name!r}, whose decode head normalises a '
                                 f'1x1 map over the batch and needs {least}; raise MultiSourceSampler.per_batch.')

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter and number of depths, for layer-wise learning rates: experts are at the depth of their
        block, decode heads at the last.
        """
        return self.backbone.get_layer_depth(param_name, f'{prefix}{ENCODER}')

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """A known file's weights under the names of this model; others as they are."""
        return self._adapt(weights)[0]

    def _adapt(self, weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], Any]:
        weights, style = translate_segmentor(weights, self.datasets)
        if style is None or not hasattr(self.backbone, 'adapt_weights'):
            return weights, None
        encoder = self.backbone.adapt_weights(part_of(weights, ENCODER))
        others = {name: value for name, value in weights.items() if not name.startswith(ENCODER)}
        return others | {ENCODER + name: value for name, value in encoder.items()}, style

    def _adapt_loaded(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Load hook: files of other segmentors, and a report, unless the file is this model's."""
        own, given = self.state_dict(), part_of(state_dict, prefix)
        if all(name in given and given[name].shape == value.shape for name, value in own.items()):
            return
        adapted, style = self._adapt(given)
        if style is None:
            return
        adapted = fit_segmentor(own, adapted, style)
        for name in given:
            del state_dict[prefix + name]
        state_dict.update({prefix + name: value for name, value in adapted.items()})


def _has(module: nn.Module, kinds: type | tuple[type, ...]) -> bool:
    return any(isinstance(part, kinds) for part in module.modules())


def _least_images(head: nn.Module, processes: int) -> int:
    """Images of a batch that a head needs in training: two where batch norm meets a map of one pixel."""
    pooled = any(isinstance(part, nn.AdaptiveAvgPool2d) and part.output_size in (1, (1, 1)) for part in head.modules())
    shared = _has(head, SYNC_BN) and processes > 1
    return 2 if pooled and not shared and _has(head, _BatchNorm) else 1

"""What segmentors and detectors of several datasets have in common."""
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

import torch
from mmengine.logging import MessageHub
from mmengine.registry import Registry
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from s5_mm.models.backbones import Encoder
from s5_mm.models.layers import ExpertLinear, check_names
from s5_mm.routing import Route

from .batch_check import BATCH_NORMS, check_images
from .settings import DatasetSettings

Losses = dict[str, Tensor | list[Tensor]]


class MultiDatasetModel:
    """A shared encoder with parts of their own for several datasets; to be mixed into a host's base class.

    A sample says by ``dataset_name`` in its metainfo which dataset it belongs to. Batches may mix datasets in any
    order: the encoder's shared layers see all images at once, experts and the datasets' own parts theirs.

    While a dataset's losses have the weight 0 (``start``), its images go through the network all the same, so that
    every process of distributed training gets gradients for the same parameters; an optimizer with weight decay shrinks
    its own parts meanwhile.

    A subclass has modules of its own for each dataset: it says where they are (:meth:`dataset_modules`) and computes
    their losses (:meth:`dataset_losses`).

    Attributes:
        encoder_prefix: What stands before the encoder's parameters in the state dict.
    """

    encoder_prefix = 'backbone.'
    registry: ClassVar[Registry]
    settings_type: ClassVar[type[DatasetSettings]]
    module_name: ClassVar[str]
    """What messages call a dataset's own module."""

    @classmethod
    def build_encoder(cls, backbone: dict, datasets: Iterable[str], experts: dict | None) -> nn.Module:
        """The encoder, before anything else is built, since the others ask it.

        Args:
            backbone: Its config.
            datasets: Their names.
            experts: The fields of :class:`s5_mm.models.layers.Experts` but the names; ``None``: no experts.

        Raises:
            ValueError: A name is impossible, or a backbone without the encoder contract should have experts.
        """
        names = check_names(datasets)
        if experts is None:
            return cls.registry.build(backbone)
        kind = cls.registry.get(backbone['type']) if isinstance(backbone['type'], str) else backbone['type']
        if isinstance(kind, type) and not issubclass(kind, Encoder):
            raise ValueError(f'{cls.__name__}: backbone.type {backbone["type"]!r} cannot have experts; wrap it, '
                             "backbone=dict(type='s5_mm.HostEncoder', encoder=dict(...)), or set experts=None.")
        return cls.registry.build(dict(backbone, experts=dict(experts, names=names)))

    def set_up_datasets(self, encoder: nn.Module, datasets: dict[str, dict]) -> None:
        """Take the encoder and read the settings; call it before the datasets' own modules are built."""
        self.backbone = encoder
        self.datasets = tuple(datasets)
        self.settings = {name: self.settings_type.from_config(name, cfg) for name, cfg in datasets.items()}

    def dataset_modules(self) -> nn.ModuleDict:
        """Name -> the part of the model, beside experts, that is the dataset's own."""
        raise NotImplementedError

    def dataset_losses(self, dataset: str, features: list[Tensor], data_samples: list[BaseDataElement]) -> Losses:
        """Losses of a dataset's images, unweighted, from their feature maps."""
        raise NotImplementedError

    def freeze_except(self, trained: Sequence[str]) -> None:
        """Freeze all but the experts and modules of these datasets; nothing if there are none. Call it last.

        Raises:
            ValueError: A dataset is unknown.
        """
        unknown = [name for name in trained if name not in self.datasets]
        if unknown:
            raise ValueError(f'{type(self).__name__}: frozen_except names {unknown}; choose from {self.datasets}.')
        self.frozen = tuple(name for name in self.datasets if name not in trained) if trained else ()
        self.shared_frozen = bool(trained)
        if trained:
            self.requires_grad_(False)
            for name in trained:
                for parameter in self.parameters_of(name):
                    parameter.requires_grad = True

    def parameters_of(self, dataset: str) -> list[nn.Parameter]:
        """Parameters that only one dataset uses: its experts and its own parts."""
        experts = [layer.experts[dataset] for layer in self.backbone.modules() if isinstance(layer, ExpertLinear)]
        return [parameter for part in (*experts, self.dataset_modules()[dataset]) for parameter in part.parameters()]

    def train(self, mode: bool = True) -> Self:
        """Switch the mode.

        What is frozen stays in eval mode: the own parts of datasets that are not trained, and the batch norms of
        encoder and shared neck, whose running statistics decide every dataset's results.
        """
        super().train(mode)
        for name in self.frozen:
            self.dataset_modules()[name].eval()
        if self.shared_frozen:
            for part in (*self.backbone.modules(), *(self.neck.modules() if self.with_neck else ())):
                if isinstance(part, BATCH_NORMS):
                    part.eval()
        return self

    def loss(self, inputs: Tensor, data_samples: list[BaseDataElement]) -> Losses:
        """Losses of a batch that mixes datasets.

        Args:
            inputs: Normalized images, (B, 3, H, W).
            data_samples: Theirs, with ``dataset_name`` and what the heads learn from.

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
            for key, value in self.dataset_losses(name, features, samples[name]).items():
                losses[f'{name}.{key}'] = _times(value, weight) if 'loss' in key else value
        absent = [parameter.sum() for name in self.datasets if name not in samples
                  for parameter in self.parameters_of(name) if parameter.requires_grad]
        if absent:
            # Distributed training waits for a gradient of every parameter.
            losses['loss_absent'] = 0 * torch.stack(absent).sum()
        if isinstance(self.backbone, Encoder):
            losses.update(self.backbone.auxiliary_losses())
        return losses

    def _features(self, inputs: Tensor, route: Route) -> dict[str, list[Tensor]]:
        """Feature maps of each dataset, from one forward of the encoder."""
        maps = self.extract_feat(route.group(inputs), route.grouped())
        levels = [level.split(route.sizes) for level in maps]
        return dict(zip(route.names, map(list, zip(*levels, strict=True)), strict=True))

    def _loss_weight(self, dataset: str) -> float:
        """Weight of a dataset's losses now."""
        settings, hub = self.settings[dataset], MessageHub.get_current_instance()
        step, steps = hub.get_info('iter'), hub.get_info('max_iters')
        return 0.0 if steps and step < settings.start * steps else settings.loss_weight

    def extract_feat(self, inputs: Tensor, route: Route) -> tuple[Tensor, ...]:
        """Feature maps of images (B, 3, H, W), in their order."""
        maps = self.backbone(inputs, route) if isinstance(self.backbone, Encoder) else self.backbone(inputs)
        return self.neck(maps) if self.with_neck else maps

    def _route(self, data_samples: list[BaseDataElement] | None) -> Route:
        """The route, of known datasets."""
        told = [sample.metainfo.get('dataset_name') for sample in data_samples or [BaseDataElement()]]
        unknown = [name for name in told if name not in self.datasets]
        if unknown:
            raise ValueError(f'{type(self).__name__}: a sample\'s dataset_name is {unknown[0]!r}, the model has '
                             f'{list(self.datasets)}; s5_mm.MultiSourceDataset and the multi-dataset loops write it, '
                             'elsewhere set it in the metainfo.')
        return Route.from_samples(data_samples)

    def check_batch(self, numbers: dict[str, int], complete: bool = True) -> None:
        """Check that a batch of this composition can be trained on.

        Args:
            numbers: Images of each dataset in a batch of one process.
            complete: Whether every dataset that is trained must be there.

        Raises:
            ValueError: A dataset is unknown or absent where it must not be, or has too few images for its norms.
        """
        absent = [name for name in self.datasets if name not in numbers and name not in self.frozen]
        unknown = [name for name in numbers if name not in self.datasets]
        if unknown or (absent and complete):
            raise ValueError(f'Batches hold datasets {list(numbers)}, the model has {list(self.datasets)}; name the '
                             'same in MultiSourceSampler.per_batch and model.datasets (those that are not trained may '
                             'be left out, see frozen_except).')
        check_images(numbers, absent, self.dataset_modules(), self.frozen, self.module_name)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter and number of depths, for layer-wise learning rates: experts are at the depth of their
        block, the datasets' own modules at the last.
        """
        return self.backbone.get_layer_depth(param_name, f'{prefix}{self.encoder_prefix}')


def _times(loss: Tensor | list[Tensor], weight: float) -> Tensor | list[Tensor]:
    """A loss, or those of several levels, weighted."""
    return [value * weight for value in loss] if isinstance(loss, list) else loss * weight

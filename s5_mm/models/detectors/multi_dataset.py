"""One rotated detector for several datasets: MDF and MoE-MDF."""
from collections.abc import Sequence
from typing import Any

from mmdet.models import BaseDetector
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.structures import DetDataSample
from mmengine.model import ModuleDict
from mmrotate.registry import MODELS as MMROTATE_MODELS
from torch import Tensor, nn

from s5_mm.hosts import map_tensors
from s5_mm.models.backbones.asking import complete_preprocessor
from s5_mm.models.multi_dataset import MultiDatasetModel
from s5_mm.models.multi_dataset.model import Losses
from s5_mm.registry import MODELS

from .dataset_settings import DetectionSettings


@MODELS.register_module()
class MultiDatasetDetector(MultiDatasetModel, BaseDetector):
    """A shared encoder with a neck and heads for each dataset (MDF of S5, and with ``experts`` MoE-MDF).

    Each dataset has a whole detector of mmdet's or mmrotate's behind the encoder, in ``detectors.NAME``: two stages
    (``rpn_head`` and ``roi_head``, as Oriented R-CNN has) or one (``bbox_head``). How batches are routed and losses
    weighted: :class:`s5_mm.models.multi_dataset.MultiDatasetModel`.

    Heads give float32 also under autocast, since boxes need it and the operators on them know nothing else. They get
    maps that are contiguous in memory, since compiled operators (RoIAlign, deformable convolutions) read any other
    layout as if it were that one.

    Args:
        backbone: The encoder.
        datasets: Name -> the fields of :class:`DetectionSettings`, e.g. ``dict(harbor=dict(num_classes=5), ...)``.
        experts: ``dict(part_features=P)`` or ``dict(share=...)``, see :class:`s5_mm.models.layers.Experts`; ``None``:
            the encoder is shared entirely.
        neck: Config of every dataset's neck; the encoder states ``in_channels``.
        rpn_head: Of its first stage.
        roi_head: Of its second stage; the number of classes is filled in.
        bbox_head: Of the heads of a detector of one stage; the number of classes is filled in.
        data_preprocessor: mmdet's; the encoder states ``mean`` and ``std``.
        frozen_except: Datasets whose experts, necks and heads alone are trained; empty: everything is.
        train_cfg: As mmdet's detectors take it.
        test_cfg: As mmdet's detectors take it.
        pretrained: Not used; mmseg's ``init_model`` gives it.
        init_cfg: MMEngine's initialization.

    Raises:
        ValueError: A dataset's settings are wrong.
    """

    registry = MMROTATE_MODELS
    settings_type = DetectionSettings
    module_name = 'detector'

    def __init__(self,
                 backbone: dict,
                 datasets: dict[str, dict],
                 experts: dict | None = None,
                 neck: dict | None = None,
                 rpn_head: dict | None = None,
                 roi_head: dict | None = None,
                 bbox_head: dict | None = None,
                 data_preprocessor: dict | None = None,
                 frozen_except: Sequence[str] = (),
                 train_cfg: dict | None = None,
                 test_cfg: dict | None = None,
                 pretrained: None = None,
                 init_cfg: dict | None = None) -> None:
        encoder = self.build_encoder(backbone, datasets, experts)
        super().__init__(data_preprocessor=complete_preprocessor(data_preprocessor, encoder), init_cfg=init_cfg)
        self.set_up_datasets(encoder, datasets)
        parts = dict(neck=neck, rpn_head=rpn_head, roi_head=roi_head, bbox_head=bbox_head, train_cfg=train_cfg,
                     test_cfg=test_cfg)
        common = {name: part for name, part in parts.items() if part is not None}
        self.detectors = ModuleDict({
            name: MMROTATE_MODELS.build(settings.detector_cfg(common, encoder))
            for name, settings in self.settings.items()})
        for detector in self.detectors.values():
            (detector.neck if detector.with_neck else detector.backbone).register_forward_hook(_contiguous)
        for part in self.detectors.modules():
            if isinstance(part, BaseDenseHead | BBoxHead):
                part.register_forward_hook(_as_float32)
        self.freeze_except(frozen_except)

    def dataset_modules(self) -> nn.ModuleDict:
        """Neck and heads of each dataset."""
        return self.detectors

    def dataset_losses(self, dataset: str, features: list[Tensor], data_samples: list[DetDataSample]) -> Losses:
        """Unweighted losses of one dataset's detector."""
        return self.detectors[dataset].loss(features, data_samples)

    def predict(self, inputs: Tensor, data_samples: list[DetDataSample], rescale: bool = True) -> list[DetDataSample]:
        """Predict each dataset's images by its own detector.

        Args:
            inputs: Normalized and padded images, (B, 3, H, W).
            data_samples: Theirs, with ``dataset_name``.
            rescale: Whether boxes are those of the original images, by ``scale_factor``.

        Returns:
            The samples, with ``pred_instances``: ``bboxes`` (N, 5) as center x and y, width, height and angle,
            ``scores`` in [0, 1] and ``labels``.
        """
        route = self._route(data_samples)
        samples = route.split(data_samples)
        for name, features in self._features(inputs, route).items():
            self.detectors[name].predict(features, samples[name], rescale=rescale)
        return data_samples

    def _forward(self, inputs: Tensor, data_samples: list[DetDataSample] | None = None) -> dict[str, Any]:
        """What the heads on whole maps give, by dataset: those of the first stage, or the only one."""
        route, outputs = self._route(data_samples), {}
        for name, features in self._features(inputs, route).items():
            detector = self.detectors[name]
            head = detector.rpn_head if hasattr(detector, 'rpn_head') else detector.bbox_head
            outputs[name] = head(detector.extract_feat(features))
        return outputs


def _contiguous(_: nn.Module, __: tuple, maps: Any) -> Any:
    """Forward hook."""
    return map_tensors(Tensor.contiguous, maps)


def _as_float32(_: nn.Module, __: tuple, outputs: Any) -> Any:
    """Forward hook."""
    return map_tensors(Tensor.float, outputs)

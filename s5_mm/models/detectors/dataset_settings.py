"""What a detector of several datasets is told about one of them."""
import dataclasses

from mmengine.config import ConfigDict
from torch import nn

from s5_mm.models.backbones.asking import complete_head, complete_strides
from s5_mm.models.multi_dataset import DatasetSettings, merged


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionSettings(DatasetSettings):
    """What a :class:`s5_mm.MultiDatasetDetector` is told about one dataset, beside classes and losses.

    Attributes:
        detector: Settings of its neck, heads, ``train_cfg`` and ``test_cfg`` that differ from the common ones, and
            ``type`` for another of mmdet's or mmrotate's detectors; ``_delete_=True`` replaces the common ones.
    """

    detector: dict = dataclasses.field(default_factory=dict)

    def detector_cfg(self, common: dict, encoder: nn.Module) -> ConfigDict:
        """Config of the dataset's detector, which takes feature maps instead of images.

        Args:
            common: Of all datasets.
            encoder: States the channels and strides of the maps.
        """
        cfg = ConfigDict(complete_strides(merged(common, self.detector), encoder))
        if cfg.get('neck'):
            cfg.neck = ConfigDict(complete_head(cfg.neck, encoder))
        _set_classes(cfg, self.num_classes)
        cfg.setdefault('type', 'mmdet.SingleStageDetector' if 'roi_head' not in cfg else 'mmdet.TwoStageDetector')
        cfg.backbone = dict(type=nn.Identity)
        return cfg


def _set_classes(cfg: dict, num_classes: int) -> None:
    """Tell every head that classifies."""
    for key, part in cfg.items():
        if key == 'roi_head':
            _set_classes(part, num_classes)
        elif key.startswith('bbox_head'):
            for head in part if isinstance(part, list | tuple) else [part]:
                head['num_classes'] = num_classes

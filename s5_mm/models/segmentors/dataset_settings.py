"""What a segmentor of several datasets is told about one of them."""
import dataclasses

from s5_mm.models.multi_dataset import DatasetSettings, merged


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentationSettings(DatasetSettings):
    """What a :class:`s5_mm.MultiDatasetSegmentor` is told about one dataset, beside classes and losses.

    Attributes:
        ignore_index: Label id of pixels that do not count; default the decode head's (255).
        decode_head: Settings of its decode head that differ from the common ones; ``_delete_=True`` replaces these.
        test_cfg: Its test protocol, see :func:`s5_mm.models.segmentors.protocols.build_protocol`; default the common.
    """

    ignore_index: int | None = None
    decode_head: dict = dataclasses.field(default_factory=dict)
    test_cfg: dict | None = None

    def head_cfg(self, common: dict) -> dict:
        """Config of the dataset's decode head, from the common one."""
        own = dict(self.decode_head, num_classes=self.num_classes)
        if self.ignore_index is not None:
            own['ignore_index'] = self.ignore_index
        return merged(common, own)

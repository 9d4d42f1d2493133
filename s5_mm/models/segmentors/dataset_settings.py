"""What a segmentor of several data sets is told about one of them."""
import copy
import dataclasses

from mmengine.config import Config


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSettings:
    """What a :class:`s5_mm.MultiDatasetSegmentor` is told about one data set.

    Attributes:
        num_classes: Number of its classes.
        ignore_index: Label id of pixels that do not count; default the decode head's (255).
        loss_weight: Weight of its losses, at least 0.
        start: Fraction of training, in [0, 1), before which its losses have the weight 0.
        decode_head: Settings of its decode head that differ from the common ones; ``_delete_=True`` replaces these.
        test_cfg: Its test protocol, see :func:`s5_mm.models.segmentors.protocols.build_protocol`; default the common.
    """

    num_classes: int
    ignore_index: int | None = None
    loss_weight: float = 1.0
    start: float = 0.0
    decode_head: dict = dataclasses.field(default_factory=dict)
    test_cfg: dict | None = None

    @classmethod
    def from_config(cls, name: str, cfg: dict) -> 'DatasetSettings':
        """Read and check a config.

        Raises:
            ValueError: A key is unknown or missing, or a value impossible.
        """
        keys = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(cfg) - set(keys))
        if unknown or 'num_classes' not in cfg:
            raise ValueError(f'datasets[{name!r}] has {f"unknown keys {unknown}" if unknown else "no num_classes"}; '
                             f'num_classes is needed, allowed are {keys}.')
        settings = cls(**cfg)
        for key, right in (('num_classes', settings.num_classes >= 1), ('loss_weight', settings.loss_weight >= 0),
                           ('start', 0 <= settings.start < 1)):
            if not right:
                raise ValueError(f'datasets[{name!r}].{key} is {getattr(settings, key)}; num_classes must be at least '
                                 '1, loss_weight at least 0, start in [0, 1).')
        return settings

    def head_cfg(self, common: dict) -> dict:
        """Config of the data set's decode head, from the common one."""
        own = dict(copy.deepcopy(self.decode_head), num_classes=self.num_classes)
        if self.ignore_index is not None:
            own['ignore_index'] = self.ignore_index
        merged = Config(dict(head=copy.deepcopy(common)))
        merged.merge_from_dict(dict(head=own))
        return merged.head

"""What a model of several datasets is told about one of them."""
import copy
import dataclasses
from typing import Self

from mmengine.config import Config, ConfigDict


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSettings:
    """What every model of several datasets is told about one dataset.

    Attributes:
        num_classes: Number of its classes.
        loss_weight: Weight of its losses, at least 0.
        start: Fraction of training, in [0, 1), before which its losses have the weight 0.
    """

    num_classes: int
    loss_weight: float = 1.0
    start: float = 0.0

    @classmethod
    def from_config(cls, name: str, cfg: dict) -> Self:
        """Read and check a config.

        Raises:
            ValueError: A key is unknown or missing, or a value impossible.
        """
        keys = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(cfg, dict):
            raise ValueError(f'datasets[{name!r}] is {cfg!r}; it must be a dict with num_classes, allowed are {keys}.')
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


def merged(common: dict, own: dict) -> ConfigDict:
    """A dataset's config of a part, from the common one.

    Args:
        common: Not changed.
        own: What differs; ``_delete_=True`` replaces the common one.
    """
    cfg = Config(dict(part=copy.deepcopy(common)))
    cfg.merge_from_dict(dict(part=copy.deepcopy(own)))
    return cfg.part

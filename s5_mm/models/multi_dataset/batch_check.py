"""How many images of a dataset the norms of its part of a model need."""
from mmcv.ops import SyncBatchNorm
from mmengine.dist import get_world_size
from torch import nn

SYNC_BN = (nn.SyncBatchNorm, SyncBatchNorm)
TORCH_BN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
BATCH_NORMS = (*TORCH_BN, *SYNC_BN)


def check_images(numbers: dict[str, int], absent: list[str], parts: dict[str, nn.Module], frozen: tuple[str, ...],
                 what: str) -> None:
    """Check that a batch of one process has the images that batch norms need.

    Args:
        numbers: Images of each dataset in it.
        absent: Datasets that are trained and of which it has none.
        parts: The parts of the model that are each dataset's own.
        frozen: Datasets that are not trained.
        what: What messages call such a part.

    Raises:
        ValueError: It has not.
    """
    processes = get_world_size()
    waited_for = [name for name in absent if _has(parts[name], SYNC_BN)]
    if waited_for and processes > 1:
        raise ValueError(f'The batch of this process holds no image of {waited_for}, whose {what}s have '
                         'SyncBN: the other processes would wait for ever. Give every process every dataset '
                         '(s5_mm.MultiSourceSampler does), or use BN.')
    for name, number in numbers.items():
        least = 1 if name in frozen else _least_images(parts[name], processes)
        if number < least:
            raise ValueError(f'A batch holds {number} image of dataset {name!r}, whose {what} normalizes a '
                             f'1x1 map over the batch and needs {least}; raise MultiSourceSampler.per_batch.')


def _has(module: nn.Module, kinds: type | tuple[type, ...]) -> bool:
    return any(isinstance(part, kinds) for part in module.modules())


def _least_images(part: nn.Module, processes: int) -> int:
    """Images of a batch that a part needs in training: two where batch norm meets a map of one pixel."""
    pooled = any(isinstance(one, nn.AdaptiveAvgPool2d) and one.output_size in (1, (1, 1)) for one in part.modules())
    shared = _has(part, SYNC_BN) and processes > 1
    return 2 if pooled and not shared and _has(part, TORCH_BN) else 1

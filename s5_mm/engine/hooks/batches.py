"""What is in a batch."""
from collections.abc import Iterator

from mmengine.structures import BaseDataElement


def samples_of(batch: object) -> Iterator[BaseDataElement]:
    """The samples of a batch, be it a list or lists by branch or source."""
    if isinstance(batch, BaseDataElement):
        yield batch
    elif isinstance(batch, (dict, list, tuple)):
        for part in batch.values() if isinstance(batch, dict) else batch:
            yield from samples_of(part)

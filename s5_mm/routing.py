"""The route: which samples of a batch belong to which dataset."""
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from mmengine.structures import BaseDataElement
from torch import Tensor

Batch = TypeVar('Batch', Tensor, list)


class Route(NamedTuple):
    """Contiguous groups of a batch, one for each dataset in it.

    Attributes:
        names: Dataset names in order of first appearance.
        sizes: Samples of each.
        order: Positions in the batch, group after group; ``None`` if the batch is grouped already.
        gsd: Ground sample distance of each image of the batch, in meters a pixel; ``None`` if no sample tells.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    order: tuple[int, ...] | None
    gsd: tuple[float, ...] | None = None

    @classmethod
    def from_samples(cls, data_samples: Sequence[BaseDataElement]) -> 'Route':
        """Read the route off the samples' metainfo.

        Args:
            data_samples: One for each image of the batch, with ``dataset_name`` in its metainfo, and perhaps ``gsd``.

        Raises:
            ValueError: A sample does not say where it comes from, or some alone have a ``gsd``.
        """
        labels = [sample.metainfo.get('dataset_name') for sample in data_samples]
        if None in labels:
            raise ValueError('A sample has no dataset_name in its metainfo; let s5_mm.MultiSourceDataset draw it, or '
                             "add 'dataset_name' to meta_keys of PackSegInputs.")
        names = tuple(dict.fromkeys(labels))
        order = tuple(sorted(range(len(labels)), key=lambda i: names.index(labels[i])))
        grouped = order == tuple(range(len(labels)))
        gsd = tuple(ground_sample_distance(sample.metainfo) for sample in data_samples)
        if None in gsd and any(gsd):
            raise ValueError(f'gsd is in the metainfo of some samples of a batch alone: {gsd}; add '
                             "dict(type='s5_mm.SetGSD') to the pipelines of all datasets, or of none.")
        return cls(names, tuple(labels.count(name) for name in names), None if grouped else order,
                   None if None in gsd else gsd)

    def grouped(self) -> 'Route':
        """The route of the batch that :meth:`group` gives."""
        gsd = None if self.gsd is None else tuple(self.group(list(self.gsd)))
        return Route(self.names, self.sizes, None, gsd)

    def group(self, batch: Batch) -> Batch:
        """Put a batch, a tensor (B, ...) or a list, into the order of the groups; itself if it is grouped already."""
        if self.order is None:
            return batch
        return batch[list(self.order)] if isinstance(batch, Tensor) else [batch[i] for i in self.order]

    def ungroup(self, batch: Tensor) -> Tensor:
        """Put a grouped tensor (B, ...) back into the order of the batch."""
        return batch if self.order is None else batch[sorted(range(len(self.order)), key=self.order.__getitem__)]

    def split(self, batch: Batch) -> dict[str, Batch]:
        """Divide a batch by dataset.

        Args:
            batch: Tensor (B, ...) or list of length B in batch order.

        Returns:
            Name -> its part; views of the tensor if it is grouped already.
        """
        grouped = self.group(batch)
        if isinstance(batch, Tensor):
            return dict(zip(self.names, grouped.split(self.sizes), strict=True))
        ends = [sum(self.sizes[:i + 1]) for i in range(len(self.sizes))]
        parts = zip(self.names, self.sizes, ends, strict=True)
        return {name: list(grouped[end - size:end]) for name, size, end in parts}


def ground_sample_distance(metainfo: Mapping[str, object]) -> float | None:
    """Meters a pixel of an image as it is now: its file's ``gsd``, by the ``scale_factor`` (width, height) of resizing.

    Args:
        metainfo: Of its data sample; without ``gsd`` the result is ``None``.
    """
    gsd = metainfo.get('gsd')
    if gsd is None:
        return None
    factors = metainfo.get('scale_factor') or (1.0, )
    return float(gsd) * len(factors) / sum(factors)

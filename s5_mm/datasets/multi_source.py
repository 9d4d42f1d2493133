"""Several datasets behind one loader, each sample marked with the one it comes from."""
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from s5_mm.randomness import seeded
from s5_mm.registry import DATASETS


class Draw(NamedTuple):
    """One draw from a source: the key that a sampler hands to :class:`MultiSourceDataset`.

    Attributes:
        source: Name of the source.
        index: Position in that source, 0-based.
        seed: Seed of this sample's augmentation, in [0, 2**32).
    """

    source: str
    index: int
    seed: int


@DATASETS.register_module()
class MultiSourceDataset(Dataset):
    """Named datasets, drawn from by :class:`s5_mm.datasets.MultiSourceSampler`.

    ``dataset[index]`` takes a :class:`Draw` of the sampler, or an integer, -len ... len-1, into the concatenation of
    the sources in their order. A draw brings the seed of its augmentation; with an integer the augmentation uses the
    global random generators, as in any other dataset.

    Every sample gets its source's name as ``dataset_name`` in its metainfo, from which the route
    (:mod:`s5_mm.routing`) is made.

    Args:
        sources: Name -> dataset or its config, e.g. ``dict(labeled=dict(...), unlabeled=dict(...))``.

    Raises:
        ValueError: No source is given, one is None, or one has no samples.
    """

    def __init__(self, sources: dict[str, Dataset | dict]) -> None:
        if not sources:
            raise ValueError('MultiSourceDataset: sources is empty; name at least one, e.g. dict(labeled=dict(...)).')
        unset = [name for name, source in sources.items() if source is None]
        if unset:
            raise ValueError(f'MultiSourceDataset: source {unset[0]!r} is None; give a dataset, or drop it with '
                             'sources=dict(_delete_=True, ...) and from MultiSourceSampler.per_batch.')
        self.sources = {
            name: DATASETS.build(source) if isinstance(source, dict) else source
            for name, source in sources.items()
        }
        for name, source in self.sources.items():
            if len(source) == 0:
                raise ValueError(f'MultiSourceDataset: source {name!r} ({type(source).__name__}) has no samples.')

    @property
    def metainfo(self) -> dict:
        """Meta information of the first source that knows its classes, for the visualizer."""
        infos = [getattr(source, 'metainfo', {}) for source in self.sources.values()]
        return next((info for info in infos if info.get('classes') is not None), {})

    def full_init(self) -> None:
        """Initialize the sources; called by MMEngine's runner."""
        for source in self.sources.values():
            if hasattr(source, 'full_init'):
                source.full_init()

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources.values())

    def __getitem__(self, index: Draw | int) -> dict[str, Any]:
        if isinstance(index, Draw):
            name = index.source
            with seeded(index.seed):
                sample = self.sources[name][index.index]
        else:
            name, position = self._locate(index)
            sample = self.sources[name][position]
        sample['data_samples'].set_metainfo(dict(dataset_name=name))
        return sample

    def _locate(self, index: int) -> tuple[str, int]:
        """Source and index into it, of an index into the concatenation."""
        position = index + len(self) if index < 0 else index
        for name, source in self.sources.items():
            if 0 <= position < len(source):
                return name, position
            position -= len(source)
        raise IndexError(f'MultiSourceDataset: index {index} is out of range; the sources hold {len(self)} samples.')

"""Settings of curation: the dict ``curation`` beside ``model`` in a config."""
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .prototypes import DEFAULT_NUM_CLUSTERS
from .quota import ON_SHORTFALL
from .selection import STRATEGIES


@dataclass(frozen=True)
class CurationSettings:
    """Data and numbers of curation.

    Attributes:
        pool: The unlabeled images: ``source``, ``data_root``, ``indices`` and ``pipeline`` (the loading step) of
            :class:`s5_mm.UnlabeledDataset`.
        labeled: The labeled images in the same form; their labels are not read.
        work_dir: Folder that curation writes into.
        background: Class left out of the entropy; ``None``: none.
        renormalize: Whether the rest is renormalized.
        size: Long side in pixels that images are resized to; ``None``: they are not resized.
        max_side: Larger images in pixels, after the resize, are errors.
        batch_size: Images in a batch of the model.
        workers: Decoding processes for each scoring process.
        amp: Whether the model runs in bfloat16.
        chunk_size: Images in a shard of scores; ``None``: about a thousand shards.
        max_errors: Share of the images that may be unreadable, 0 ... 1.
        keep_features: Whether features of the pool are stored, which ``near_duplicates`` needs.
        num_clusters: M, or ``'auto'``.
        budget: Images to select.
        strategy: See :func:`s5_mm.curation.select`.
        on_shortfall: See :func:`s5_mm.curation.fill`.
        near_duplicates: Cosine, above which the later of two images in a cluster is left out; ``None``: none is.
        seed: Seed of clustering and of the random order.
        memory_limit: Memory of DuckDB, e.g. ``'4GB'``; above it DuckDB works on disk, in ``work_dir``.
    """

    pool: dict
    labeled: dict
    work_dir: str = 'work_dirs/curation'
    background: int | None = None
    renormalize: bool = False
    size: int | None = None
    max_side: int = 2048
    batch_size: int = 32
    workers: int = 4
    amp: bool = False
    chunk_size: int | None = None
    max_errors: float = 0.01
    keep_features: bool = False
    num_clusters: int | str = DEFAULT_NUM_CLUSTERS
    budget: int = 1_000_000
    strategy: str = 'curated'
    on_shortfall: str = 'skip'
    near_duplicates: float | None = None
    seed: int = 0
    memory_limit: str = '4GB'

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: A number out of range, an unknown word, or a pool without ``source``.
        """
        for name in ('pool', 'labeled'):
            if not isinstance(getattr(self, name), dict) or 'source' not in getattr(self, name):
                raise ValueError(f'curation.{name} is {getattr(self, name)!r}; it needs `source`, a folder, list file '
                                 'or Parquet file of images, as s5_mm.UnlabeledDataset takes it')
        for name, low in dict(max_side=32, batch_size=1, workers=0, budget=1, seed=0).items():
            if not isinstance(getattr(self, name), int) or getattr(self, name) < low:
                raise ValueError(f'curation.{name} is {getattr(self, name)!r}; it must be an integer of at least {low}')
        if self.num_clusters != 'auto' and (not isinstance(self.num_clusters, int) or self.num_clusters < 1):
            raise ValueError(f"curation.num_clusters is {self.num_clusters!r}; it must be at least 1, or 'auto'")
        if not 0 <= self.max_errors <= 1:
            raise ValueError(f'curation.max_errors is {self.max_errors}; it is a share, 0..1')
        if self.near_duplicates is not None and not 0 < self.near_duplicates <= 1:
            raise ValueError(f'curation.near_duplicates is {self.near_duplicates}; it is a cosine, above 0 and up to 1')
        for name, allowed in dict(strategy=list(STRATEGIES), on_shortfall=list(ON_SHORTFALL)).items():
            if getattr(self, name) not in allowed:
                raise ValueError(f'curation.{name} is {getattr(self, name)!r}; choose from {allowed}')

    @classmethod
    def from_config(cls, cfg: Config, **changes: Any) -> 'CurationSettings':
        """Read them from a config.

        Args:
            cfg: With a dict ``curation``.
            changes: Settings from the command line; those that are ``None`` leave the config's.

        Raises:
            ValueError: There is no such dict, it has an unknown key, or lacks one.
        """
        given = cfg.get('curation')
        if given is None:
            raise ValueError(f'{cfg.filename} has no dict `curation`; start from a config in configs/curation')
        given = {**given.to_dict(), **{name: value for name, value in changes.items() if value is not None}}
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(given.keys() - known)
        if unknown:
            raise ValueError(f'curation.{unknown[0]} of {cfg.filename} is unknown; choose from {sorted(known)}')
        missing = sorted({'pool', 'labeled'} - given.keys())
        if missing:
            raise ValueError(f'curation.{missing[0]} of {cfg.filename} is missing; it says where the images are')
        return cls(**given)

    def with_pool(self, source: str | None = None, data_root: str | None = None) -> 'CurationSettings':
        """These settings with another pool.

        Args:
            source: Takes the place of the pool's; ``indices``, which are of the old one, are dropped if it differs.
            data_root: Takes the place of the pool's.

        Returns:
            Settings whose pool keeps what is not given, such as ``pipeline``.
        """
        pool = dict(self.pool)
        if source is not None and source != pool['source']:
            pool.pop('indices', None)
            pool['source'] = source
        if data_root is not None:
            pool['data_root'] = data_root
        return dataclasses.replace(self, pool=pool)

    @property
    def folder(self) -> Path:
        """:attr:`work_dir` as a path."""
        return Path(self.work_dir)

    @property
    def prototypes_file(self) -> Path:
        """Where the prototypes are."""
        return self.folder / 'prototypes.npz'

    @property
    def scores_folder(self) -> Path:
        """Where the scores of the pool are."""
        return self.folder / 'pool'

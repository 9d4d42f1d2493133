"""Selections of a scored pool on disk: manifest, list of paths, and a card that records how they were made."""
import dataclasses
import glob
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mmengine.logging import print_log

from s5_mm.files import read_json, replacing, sha256_of, write_json
from s5_mm.version import __version__

from .near_duplicates import near_duplicates
from .prototypes import load_prototypes
from .quota import fill
from .selection import STRATEGIES, Plan, make_plan, ordered_query, selection_query
from .settings import CurationSettings
from .working import SPILL, alone_in

MANIFEST_COLUMNS = ('path', 'entropy', 'entropy_normalized', 'cluster', 'similarity', 'width', 'height', 'model')


def write_selection(settings: CurationSettings, name: str) -> dict:
    """Select from ``WORK_DIR/pool`` and write ``WORK_DIR/NAME.parquet``, ``NAME.txt`` and ``NAME.json``.

    Args:
        settings: Settings of the selection.
        name: Name of the three files.

    Returns:
        The card, which is the content of ``NAME.json``.

    Raises:
        FileNotFoundError: There are no scores or no prototypes.
        FolderInUseError: Another step works in the work dir.
        ValueError: The scores are not complete or of other prototypes, or see :func:`s5_mm.curation.select`.
    """
    if Path(name).name != name:
        raise ValueError(f'--name is {name!r}; it is the name of files in {settings.folder}, without folders.')
    pool = pool_settings(settings.scores_folder)
    counts = _labeled_counts(settings, pool) if STRATEGIES[settings.strategy].by_cluster else None
    manifest, listing = (settings.folder / f'{name}.{suffix}' for suffix in ('parquet', 'txt'))
    with (alone_in(settings.folder),
          open_scores(settings.scores_folder, settings.memory_limit) as connection):
        print_log(f'{settings.scores_folder}: counting the scores of {pool["images"]:,} images', 'current')
        _check_complete(connection, settings.scores_folder, pool)
        plan = make_plan(connection, settings.budget, counts, settings.strategy, settings.on_shortfall)
        duplicates = 0
        if settings.near_duplicates is not None:
            print_log(f'comparing the best {plan.taken.sum():,} images with each other', 'current')
            plan, duplicates = _without_near_duplicates(connection, plan, counts, settings)
        print_log(f'selecting {plan.taken.sum():,} images ({settings.strategy}) into {manifest}', 'current')
        query = selection_query(settings.strategy, plan.taken, settings.seed,
                                excluded='near_duplicates' if duplicates else None)
        _copy(connection, f'SELECT {", ".join(MANIFEST_COLUMNS)} FROM ({query})', manifest)
        _check_once(connection, manifest)
        _write_list(manifest, listing)
        card = _card(connection, settings, pool, plan, counts, duplicates, [manifest, listing])
        write_json(settings.folder / f'{name}.json', card)
    return card


def _labeled_counts(settings: CurationSettings, pool: dict) -> np.ndarray:
    """Labeled images of each cluster, of the prototypes that the scores were made with."""
    prototypes = load_prototypes(settings.prototypes_file)
    if pool.get('prototypes') != sha256_of(settings.prototypes_file):
        raise ValueError(f'{settings.scores_folder} was not scored with {settings.prototypes_file}, so its clusters '
                         'are others; repeat `curate.py prototypes` with the old settings, or delete '
                         f'{settings.scores_folder} and score again, or select without quotas (--strategy random or '
                         'entropy)')
    return prototypes.counts


def pool_settings(folder: Path) -> dict:
    """Settings that a table of scores was made with.

    Args:
        folder: Folder of the table.

    Raises:
        FileNotFoundError: There is none.
    """
    path = folder / 'settings.json'
    if not path.is_file():
        raise FileNotFoundError(f'{folder} holds no scores; make them with `curate.py score`')
    settings = read_json(path)
    if not isinstance(settings.get('images'), int) or not isinstance(settings.get('keep_features'), bool):
        raise ValueError(f'{path} does not hold the settings of a table of scores; delete {folder} and repeat '
                         '`curate.py score`')
    return settings


@contextmanager
def open_scores(folder: Path, memory_limit: str = '4GB') -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which the view ``scores`` is a table's shards.

    Args:
        folder: Folder of the table.
        memory_limit: Memory of DuckDB; above it DuckDB works in a folder beside the table, which is removed afterwards.

    Raises:
        FileNotFoundError: There are no shards.
        ValueError: One cannot be read; also raised for what the block asks of the table.
    """
    if not any((folder / 'scores').glob('*.parquet')):
        raise FileNotFoundError(f'{folder} holds no scores; make them with `curate.py score`')
    spill = tempfile.mkdtemp(prefix=SPILL, dir=folder)
    try:
        with duckdb.connect(config=dict(memory_limit=memory_limit, temp_directory=spill)) as connection:
            shards = _quoted(f'{glob.escape(str(folder / "scores"))}/*.parquet')
            # A shard whose images all failed does not know how long a feature is and has no such column.
            by_name = 'true' if pool_settings(folder)['keep_features'] else 'false'
            connection.execute(f'CREATE VIEW scores AS FROM read_parquet({shards}, union_by_name={by_name})')
            yield connection
    except duckdb.Error as error:
        raise ValueError(_damage(folder / 'scores', error)) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _damage(scores: Path, error: duckdb.Error) -> str:
    """Which shards are to blame for an error."""
    damaged = [path.name for path in sorted(scores.glob('*.parquet')) if not _is_readable(path)]
    what = f'{", ".join(damaged[:3])} cannot be read; delete it' if damaged else 'the table cannot be used; delete it'
    return f'{scores}: {what} and repeat `curate.py score`, which resumes ({str(error).splitlines()[0]})'


def _is_readable(path: Path) -> bool:
    try:
        pq.read_table(path)
    except (OSError, pa.ArrowException):
        return False
    return True


def _quoted(text: str | Path) -> str:
    """A string in SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def _check_complete(connection: duckdb.DuckDBPyConnection, folder: Path, pool: dict) -> None:
    scored = connection.execute('SELECT count(*) FROM scores').fetchone()[0]
    done = scored + num_errors(folder)
    if done != pool['images']:
        raise ValueError(f'{folder} holds {done} of the {pool["images"]} images of the pool; repeat `curate.py score`, '
                         'which resumes')


def num_errors(folder: Path) -> int:
    """Images of a pool that could not be scored.

    Args:
        folder: Folder of the table.
    """
    return sum(pq.read_metadata(path).num_rows for path in (folder / 'errors').glob('*.parquet'))


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    with replacing(path) as part:
        connection.execute(f'COPY ({query}) TO {_quoted(part)} (FORMAT parquet, COMPRESSION zstd)')


def _check_once(connection: duckdb.DuckDBPyConnection, manifest: Path) -> None:
    twice = connection.execute(
        'SELECT path FROM (SELECT path, lag(path) OVER (ORDER BY path) AS before '
        f'FROM read_parquet({_quoted(manifest)})) WHERE path = before LIMIT 1').fetchone()
    if twice:
        manifest.unlink()
        raise ValueError(f'{twice[0]} is in the scores more than once; do not put shards of other tables into the '
                         'folder')


def _write_list(manifest: Path, path: Path) -> None:
    """The column ``path``, one a line, which is the form of a list that training reads."""
    with (replacing(path) as part, part.open('w', encoding='utf-8', newline='\n') as file,
          pq.ParquetFile(manifest) as rows):
        for batch in rows.iter_batches(columns=['path']):
            file.writelines(f'{name}\n' for name in batch['path'].to_pylist())


def _without_near_duplicates(connection: duckdb.DuckDBPyConnection, plan: Plan, counts: np.ndarray | None,
                             settings: CurationSettings) -> tuple[Plan, int]:
    """Find near-duplicates among the best images of each group, as far as its quota needs.

    They go into a table ``near_duplicates``. The missing images of a group may be redistributed to other groups,
    which are then searched further.
    """
    columns = [row[0] for row in connection.execute('DESCRIBE scores').fetchall()]
    if 'feature' not in columns:
        raise ValueError('near_duplicates needs the features of the pool, and the scores have none; score with '
                         'keep_features=True into another work_dir')
    counts = np.ones(1, dtype=np.int64) if counts is None else counts
    found = [np.zeros(0, dtype=object)] * len(counts)
    searched = np.zeros(len(counts), dtype=np.int64)
    while True:
        left = plan.available - [len(paths) for paths in found]
        taken = fill(counts, left, settings.budget, settings.on_shortfall)
        behind = np.flatnonzero(taken > searched)
        if not len(behind):
            break
        for group in behind:
            blocks = _feature_blocks(connection, ordered_query(settings.strategy, int(group), settings.seed))
            found[group] = near_duplicates(blocks, settings.near_duplicates, int(taken[group]))
        searched[behind] = taken[behind]
    paths = np.concatenate(found)
    connection.execute('CREATE TABLE near_duplicates (path VARCHAR)')
    if len(paths):
        names = {'path': paths}
        connection.register('names', names)
        connection.execute('INSERT INTO near_duplicates SELECT path FROM names')
    return Plan(plan.quotas, plan.available, taken), len(paths)


def _feature_blocks(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for batch in connection.sql(query).to_arrow_reader(8192):
        features = batch['feature']
        yield (batch['path'].to_numpy(zero_copy_only=False),
               features.flatten().to_numpy().reshape(len(features), -1))


def _card(connection: duckdb.DuckDBPyConnection, settings: CurationSettings, pool: dict, plan: Plan,
          counts: np.ndarray | None, duplicates: int, files: list[Path]) -> dict:
    by_cluster = STRATEGIES[settings.strategy].by_cluster
    group = 'cluster' if by_cluster else '0'
    thresholds = dict(connection.execute(
        f'SELECT {group}, max(entropy) FROM read_parquet({_quoted(files[0])}) GROUP BY ALL').fetchall())
    groups = [dict(cluster=m if by_cluster else None, labeled=int(counts[m]) if by_cluster else None,
                   quota=int(plan.quotas[m]), available=int(plan.available[m]), taken=int(plan.taken[m]),
                   unfilled=max(0, int(plan.quotas[m] - plan.taken[m])), highest_entropy=thresholds.get(m))
              for m in range(len(plan.taken))]
    means = [connection.execute(f'SELECT avg(entropy) FROM {relation}').fetchone()[0]
             for relation in ('scores', f'read_parquet({_quoted(files[0])})')]
    return dict(
        strategy=settings.strategy, budget=settings.budget, selected=int(plan.taken.sum()),
        near_duplicates_left_out=duplicates,
        mean_entropy=dict(pool=means[0], selected=means[1]),
        groups=groups,
        pool=dict(pool, errors=num_errors(settings.scores_folder)),
        model=pool['model'],
        arguments=dataclasses.asdict(settings),
        versions=dict(s5_mm=__version__, duckdb=duckdb.__version__, python=platform.python_version()),
        sha256={path.name: sha256_of(path) for path in files})

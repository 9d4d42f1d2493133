"""Which images of a scored pool are taken: quotas, entropy and the baselines, as one DuckDB query.

The query runs over a table in memory (training) or over Parquet shards of any size (the command). It never sorts the
pool: images are counted in narrow steps of their rank (entropy, or a random number), and only the step in which a
cluster's quota runs out is ranked exactly. So memory does not grow with the pool, and time grows in proportion.
"""
from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from .quota import fill


class Strategy(NamedTuple):
    """Properties of a strategy.

    Attributes:
        by_cluster: Whether clusters have quotas (Eq. 3); otherwise the pool is one group.
        by_entropy: Whether the lowest entropy comes first; otherwise the order is random.
    """

    by_cluster: bool
    by_entropy: bool


STRATEGIES = {
    'curated': Strategy(by_cluster=True, by_entropy=True),
    'random': Strategy(by_cluster=False, by_entropy=False),
    'entropy': Strategy(by_cluster=False, by_entropy=True),
    'diversity': Strategy(by_cluster=True, by_entropy=False),
}
STEPS = 4096
"""Steps that one unit of the rank is counted in."""


class Selection(NamedTuple):
    """A selection.

    Attributes:
        table: The chosen rows, all columns of the scores, sorted by path.
        quotas: (G,), int64, what each group may give before availability counts; a group is a cluster, or, for
            ``'random'`` and ``'entropy'``, the pool.
        available: (G,), int64, images of each group.
        taken: (G,), int64, images selected of each group.
    """

    table: pa.Table
    quotas: np.ndarray
    available: np.ndarray
    taken: np.ndarray


def select(scores: pa.Table,
           budget: int,
           counts: np.ndarray | None = None,
           strategy: str = 'curated',
           on_shortfall: str = 'skip',
           seed: int = 0) -> Selection:
    """Select from a table in memory.

    Args:
        scores: One row an image: ``path`` (text), ``entropy`` (number) and, for strategies with quotas, ``cluster``
            (integer, 0 ... M-1). Other columns, such as an index, are passed through.
        budget: Images to select, 1 ... number of rows.
        counts: (M,), labeled samples of each cluster; needed by strategies with quotas.
        strategy: ``'curated'``: quotas, lowest entropy first inside each cluster (the paper). ``'random'``.
            ``'entropy'``: lowest entropy of the pool. ``'diversity'``: quotas, random inside each cluster.
        on_shortfall: ``'skip'`` or ``'redistribute'``, see :func:`s5_mm.curation.quota.fill`.
        seed: Seed of the random order, a hash of seed and path, which does not depend on the order of the rows.

    Returns:
        Ties are broken by path, so the result does not depend on the order of the rows.

    Raises:
        ValueError: An unknown option, a missing column, a budget above the pool, scores that are not numbers, or
            clusters that are not 0 ... M-1.
    """
    with duckdb.connect() as connection:
        connection.register('scores', scores)
        plan = make_plan(connection, budget, counts, strategy, on_shortfall)
        rows = connection.sql(selection_query(strategy, plan.taken, seed)).to_arrow_table()
    return Selection(rows, plan.quotas, plan.available, plan.taken)


class Plan(NamedTuple):
    """How many images each group gives; the arrays are those of :class:`Selection`."""

    quotas: np.ndarray
    available: np.ndarray
    taken: np.ndarray


def make_plan(connection: duckdb.DuckDBPyConnection, budget: int, counts: np.ndarray | None, strategy: str,
              on_shortfall: str) -> Plan:
    """Count the relation ``scores`` of a connection and divide the budget.

    Args:
        connection: With a table or view ``scores``.
        budget: See :func:`select`.
        counts: See :func:`select`.
        strategy: See :func:`select`.
        on_shortfall: See :func:`select`.

    Raises:
        ValueError: See :func:`select`.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f'strategy is {strategy!r}; choose from {list(STRATEGIES)}')
    if not STRATEGIES[strategy].by_cluster:
        counts = np.ones(1, dtype=np.int64)
    if counts is None:
        raise ValueError(f'strategy {strategy!r} has quotas and needs the labeled samples of each cluster; give the '
                         "prototypes, or choose 'random' or 'entropy'")
    available = _available(connection, strategy, len(counts))
    if not 1 <= budget <= available.sum():
        raise ValueError(f'budget is {budget}; it must be 1..{available.sum()}, the number of images in the pool')
    taken = fill(counts, available, budget, on_shortfall)
    return Plan(fill(counts, np.full(len(counts), budget), budget), available, taken)


def _available(connection: duckdb.DuckDBPyConnection, strategy: str, num_groups: int) -> np.ndarray:
    columns = [row[0] for row in connection.execute('DESCRIBE scores').fetchall()]
    needed = ['path', 'entropy'] + ['cluster'] * STRATEGIES[strategy].by_cluster
    missing = [name for name in needed if name not in columns]
    if missing:
        raise ValueError(f'the scores have no column {missing[0]!r}, strategy {strategy!r} needs {needed}; the columns '
                         f'are {columns}')
    found = connection.execute(f'SELECT {_group(strategy)} AS "group", count(*), '
                               'count(*) FILTER (entropy IS NULL OR NOT isfinite(entropy::DOUBLE)), min(entropy) '
                               'FROM scores GROUP BY "group"').fetchall()
    available = np.zeros(num_groups, dtype=np.int64)
    for group, number, not_numbers, lowest in found:
        if not_numbers or lowest < 0:
            raise ValueError('the scores hold an entropy that is negative or no number; score these images again')
        if group is None or not 0 <= group < num_groups:
            raise ValueError(f'the scores have cluster {group}, the prototypes are 0..{num_groups - 1}; score with '
                             "these prototypes, or choose a strategy without quotas ('random', 'entropy')")
        available[group] = number
    return available


def _group(strategy: str) -> str:
    return 'cluster' if STRATEGIES[strategy].by_cluster else '0'


def _rank(strategy: str, seed: int) -> str:
    """SQL of the number, at least 0, that says who comes first."""
    if STRATEGIES[strategy].by_entropy:
        return 'entropy::DOUBLE'
    # MD5, since DuckDB's own hash may change from version to version. 53 bits, which a DOUBLE holds exactly.
    return f"((md5_number('{int(seed)}:' || path) >> 75)::DOUBLE / {1 << 53})"


def selection_query(strategy: str, taken: Sequence[int], seed: int = 0, excluded: str | None = None) -> str:
    """The query that gives the selected rows of the relation ``scores``, sorted by path.

    Args:
        strategy: A key of :data:`STRATEGIES`.
        taken: Images to take from each group, at most as many as it has.
        seed: Seed of the random order.
        excluded: Relation whose column ``path`` names rows that do not take part.
    """
    limits = ', '.join(f'({group}, {int(number)})' for group, number in enumerate(taken))
    without = f'ANTI JOIN {excluded} USING (path)' if excluded else ''
    return f"""
    WITH ranked AS NOT MATERIALIZED (
        SELECT *, {_group(strategy)} AS _group, {_rank(strategy, seed)} AS _rank,
            floor({_rank(strategy, seed)} * {STEPS}) AS _step
        FROM scores {without}
    ), steps AS (
        SELECT _group, _step, count(*) AS number FROM ranked GROUP BY ALL
    ), reached AS (
        SELECT _group, _step, number, sum(number) OVER (PARTITION BY _group ORDER BY _step) AS upto FROM steps
    ), limits(_group, most) AS (
        VALUES {limits}
    ), edges AS MATERIALIZED (
        -- The step in which a group's limit is reached, and how many rows of that step still fit.
        SELECT _group, arg_min(_step, _step) AS _edge, arg_min(most - (upto - number), _step) AS _room
        FROM reached JOIN limits USING (_group) WHERE upto >= most AND most > 0 GROUP BY _group
    )
    SELECT * EXCLUDE (_group, _rank, _step, _edge, _room) FROM ranked JOIN edges USING (_group) WHERE _step < _edge
    UNION ALL
    SELECT * EXCLUDE (_group, _rank, _step, _edge, _room, _place) FROM (
        SELECT *, row_number() OVER (PARTITION BY _group ORDER BY _rank, path) AS _place
        FROM ranked JOIN edges USING (_group) WHERE _step = _edge
    ) WHERE _place <= _room
    ORDER BY path"""


def ordered_query(strategy: str, group: int, seed: int = 0) -> str:
    """The query that gives ``path`` and ``feature`` of a group's rows of ``scores``, those taken first first.

    Args:
        strategy: A key of :data:`STRATEGIES`.
        group: Cluster, or 0.
        seed: Seed of the random order.
    """
    return (f'SELECT path, feature FROM scores WHERE {_group(strategy)} = {group} '
            f'ORDER BY {_rank(strategy, seed)}, path')

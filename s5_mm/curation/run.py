"""Long steps on one or many processes: score a pool into a table, make prototypes from the labeled images."""
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from tqdm import tqdm

from s5_mm.files import sha256_of
from s5_mm.launching import TIMEOUT

from .loading import build_loader, build_pool
from .model import ScoringModel, load_scoring_model
from .prototypes import Prototypes, fit_prototypes, load_prototypes, propose_num_clusters, save_prototypes
from .score_table import ScoreTable, batches_of, check_errors, score_chunks
from .scoring import score
from .settings import CurationSettings
from .working import alone_in

POLL_SECONDS = 2.0


def make_prototypes(cfg: Config, checkpoint: str, settings: CurationSettings) -> Prototypes | None:
    """Score the labeled images, features kept, in ``WORK_DIR/labeled``, and cluster them into ``prototypes.npz``.

    Args:
        cfg: Config with the model.
        checkpoint: Weights of the model.
        settings: Data and options.

    Returns:
        The prototypes, or ``None`` on all processes but the first.

    Raises:
        FolderInUseError: Another step works in the work dir.
        ValueError: A labeled image cannot be read, or see :class:`ScoreTable`, :func:`load_scoring_model` and
            :func:`fit_prototypes`.
    """
    with alone_in(settings.folder):
        return _make_prototypes(cfg, checkpoint, settings)


def _make_prototypes(cfg: Config, checkpoint: str, settings: CurationSettings) -> Prototypes | None:
    scorer = load_scoring_model(cfg, checkpoint, settings.background, settings.renormalize)
    folder = settings.folder / 'labeled'
    _score_all(folder, settings.labeled, settings, scorer, None, keep_features=True, max_errors=0.0)
    if get_dist_info()[0] > 0:
        return None
    features = read_features(folder)
    num_clusters = settings.num_clusters
    if num_clusters == 'auto':
        proposal = propose_num_clusters(features, seed=settings.seed)
        shown = ', '.join(f'{m}: {value:.3f}' for m, value in proposal.scores.items())
        print_log(f'silhouette by number of clusters: {shown}; {proposal.num_clusters} is taken', 'current')
        num_clusters = proposal.num_clusters
    prototypes = fit_prototypes(features, num_clusters, settings.seed, scorer.name)
    save_prototypes(settings.prototypes_file, prototypes)
    return prototypes


def read_features(folder: Path) -> np.ndarray:
    """Features of all images of a table, in order.

    Args:
        folder: Folder of a table with features.

    Returns:
        (N, C), fp32.
    """
    tables = (pq.read_table(path) for path in sorted((folder / 'scores').glob('*.parquet')))
    parts = [table['feature'].combine_chunks() for table in tables if len(table)]
    return np.concatenate([part.flatten().to_numpy().reshape(len(part), -1) for part in parts])


def score_pool(cfg: Config, checkpoint: str, settings: CurationSettings, use_prototypes: bool = True) -> ScoreTable:
    """Score the pool into ``WORK_DIR/pool``.

    Args:
        cfg: Config with the model.
        checkpoint: Weights of the model.
        settings: Data and options.
        use_prototypes: Whether to assign images to ``WORK_DIR/prototypes.npz``; without them only selections without
            quotas can be made.

    Returns:
        The table; complete when the first process returns.

    Raises:
        FileNotFoundError: There are no prototypes.
        FolderInUseError: Another step works in the work dir.
        ValueError: The prototypes were made with another model, more images than ``max_errors`` allows could not be
            scored, or see :class:`ScoreTable` and :func:`load_scoring_model`.
    """
    prototypes = load_prototypes(settings.prototypes_file) if use_prototypes else None
    scorer = load_scoring_model(cfg, checkpoint, settings.background, settings.renormalize)
    if prototypes is not None and prototypes.model != scorer.name:
        raise ValueError(f'{settings.prototypes_file} was made with the model {prototypes.model}, this is '
                         f'{scorer.name}; features of different models do not compare. Make prototypes with this one')
    with alone_in(settings.folder):
        return _score_all(settings.scores_folder, settings.pool, settings, scorer, prototypes, settings.keep_features,
                          settings.max_errors)


def _score_all(folder: Path, source: dict, settings: CurationSettings, scorer: ScoringModel,
               prototypes: Prototypes | None, keep_features: bool, max_errors: float) -> ScoreTable:
    rank, world_size = get_dist_info()
    pool = build_pool(source, settings.size)
    root = str(Path(pool.root).resolve())
    fingerprint = dict(
        root=root, model=scorer.name, background=settings.background, renormalize=settings.renormalize,
        size=settings.size, max_side=settings.max_side, amp=settings.amp, keep_features=keep_features,
        prototypes=None if prototypes is None else sha256_of(settings.prototypes_file))
    table = ScoreTable(folder, pool.paths, fingerprint, scorer.largest, settings.chunk_size)
    chunks = table.todo(rank, world_size)
    device = next(scorer.model.parameters()).device
    batches = build_loader(pool, batches_of(table, chunks, settings.batch_size), settings.workers, settings.max_side,
                           pin_memory=device.type == 'cuda')
    scores = score(scorer.model, batches, prototypes, settings.background, settings.renormalize, settings.amp,
                   keep_features)
    _follow(table, score_chunks(table, scores, chunks, max_errors), chunks, folder.name)
    if rank == 0:
        check_errors(table, max_errors)
    return table


def _follow(table: ScoreTable, steps: Iterator[int], chunks: list[int], title: str) -> None:
    """Drain ``steps`` behind a progress bar; rank 0 then waits for the other processes.

    Raises:
        SystemExit: See :func:`wait_for_chunks`.
    """
    start = time.monotonic()
    rank, world_size = get_dist_info()
    share, left = (sum(len(table.indices(chunk)) for chunk in part)
                   for part in (range(rank, table.num_chunks, world_size), chunks))
    title = f'scoring {title}' + (f', process {rank + 1} of {world_size}' if world_size > 1 else '')
    # Without a terminal a line every half minute goes to the log.
    with tqdm(total=share, initial=share - left, desc=title, unit='image', disable=rank > 0,
              mininterval=0.1 if sys.stderr.isatty() else 30) as bar:
        for number in steps:
            bar.update(number)
    if rank == 0:
        wait_for_chunks(table, TIMEOUT + 3 * (time.monotonic() - start) / max(1, len(chunks)))


def wait_for_chunks(table: ScoreTable, seconds: float) -> None:
    """Wait until the chunks of all processes are finished.

    Args:
        table: The scores.
        seconds: Longest time without a new finished chunk.

    Raises:
        SystemExit: No chunk was finished for so long: another process hangs, or was lost.
    """
    number, since = -1, time.monotonic()
    while (finished := len(table.finished())) < table.num_chunks:
        if finished > number:
            number, since = finished, time.monotonic()
        elif time.monotonic() - since > seconds:
            raise SystemExit(f'{table.num_chunks - finished} of {table.num_chunks} chunks of {table.folder} are not '
                             f'finished, and none was for {seconds:.0f} seconds: another process hangs or has ended, '
                             'and its output says why. Stop all processes and repeat the command; finished chunks are '
                             'kept.')
        time.sleep(POLL_SECONDS)

"""Scores of a pool as Parquet shards, one a chunk, so that scoring can stop and resume at any moment.

    FOLDER/settings.json             what the scores depend on; a run with others is refused
    FOLDER/scores/00000012.parquet   the images of chunk 12
    FOLDER/errors/00000012.parquet   those that could not be scored, with the reason; only if there are any

A chunk is a range of indices into the pool, and belongs to one process at a time. Its scores are written last, under a
temporary name that is then changed: where they are, the chunk is complete.
"""
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from s5_mm.files import keep_settings, write_bytes

from .scoring import Scores

ERROR_SCHEMA = pa.schema([('path', pa.string()), ('reason', pa.string())])


def score_schema(num_features: int = 0) -> pa.Schema:
    """Columns of a table of scores.

    ``path`` as listed in the pool; ``entropy`` in nats, ``entropy_normalized`` divided by the largest possible one;
    ``cluster`` and ``similarity`` (cosine), null without prototypes; ``width`` and ``height`` of the file in pixels;
    ``model``; ``feature``, of unit length, if there are features.

    Args:
        num_features: Length of a feature; 0: none.
    """
    columns = [('path', pa.string()), ('entropy', pa.float32()), ('entropy_normalized', pa.float32()),
               ('cluster', pa.int32()), ('similarity', pa.float32()), ('width', pa.int32()), ('height', pa.int32()),
               ('model', pa.dictionary(pa.int32(), pa.string()))]
    return pa.schema(columns + [('feature', pa.list_(pa.float32(), num_features))] * bool(num_features))


def default_chunk_size(num_images: int) -> int:
    """About a thousand chunks, of 64 to 16,384 images; it depends on the pool alone, as the chunks must.

    Args:
        num_images: Images of the pool.
    """
    return min(max(num_images // 1024, 64), 16384)


class ErrorShare(NamedTuple):
    """How many images failed; ``examples`` are some of them with their reasons."""

    failed: int
    total: int
    examples: list[str]


class ScoreTable:
    """The shards of one pool and model.

    Args:
        folder: Folder of the shards.
        paths: (N,), text, the pool's paths as listed.
        settings: Everything else that the scores depend on: the pool's root, the model, options.
        largest: The largest possible entropy, for the normalized column.
        chunk_size: Images in a chunk; ``None``: :func:`default_chunk_size`.

    Raises:
        ValueError: The folder holds scores of other settings or of another pool, or the chunk size is below 1.
    """

    def __init__(self, folder: Path, paths: pa.Array, settings: dict, largest: float,
                 chunk_size: int | None = None) -> None:
        self.folder = Path(folder)
        self.paths = paths
        self.model = settings['model']
        self.largest = largest
        self.chunk_size = default_chunk_size(len(paths)) if chunk_size is None else chunk_size
        if self.chunk_size < 1:
            raise ValueError(f'chunk_size is {chunk_size}; it must be at least 1')
        self.num_chunks = -(-len(paths) // self.chunk_size)
        keep_settings(self.folder / 'settings.json', {
            **settings, 'images': len(paths), 'paths_sha256': checksum_of_paths(paths), 'chunk_size': self.chunk_size})

    def finished(self) -> set[int]:
        """Chunks whose scores are written."""
        return {int(path.stem) for path in (self.folder / 'scores').glob('*.parquet')}

    def indices(self, chunk: int) -> range:
        """Indices into the pool of a chunk's images."""
        return range(chunk * self.chunk_size, min((chunk + 1) * self.chunk_size, len(self.paths)))

    def todo(self, rank: int = 0, world_size: int = 1) -> list[int]:
        """Chunks that a process has left to do.

        Args:
            rank: The process, 0 ... world_size-1.
            world_size: Processes.
        """
        finished = self.finished()
        return [chunk for chunk in range(rank, self.num_chunks, world_size) if chunk not in finished]

    def write(self, chunk: int, scores: Sequence[Scores]) -> None:
        """Write a chunk.

        Args:
            chunk: Number of the chunk.
            scores: Scores of all its images, in any order.
        """
        failures = sorted(failure for part in scores for failure in part.failures)
        if failures:
            indices, reasons = zip(*failures, strict=True)
            write_table(self._file('errors', chunk), pa.table([self._paths_at(indices), reasons], schema=ERROR_SCHEMA))
        write_table(self._file('scores', chunk), self._rows([part for part in scores if len(part.index)]))

    def _rows(self, scores: Sequence[Scores]) -> pa.Table:
        if not scores:
            return score_schema().empty_table()
        index, entropy, cluster, similarity, size, features = (
            np.concatenate([part[i] for part in scores]) for i in range(6))
        order = np.argsort(index)
        known = cluster[order] >= 0
        columns = [
            self._paths_at(index[order]), entropy[order], (entropy / np.float32(self.largest))[order],
            pa.array(cluster[order], pa.int32(), mask=~known), pa.array(similarity[order], mask=~known),
            size[order, 1], size[order, 0],
            pa.DictionaryArray.from_arrays(np.zeros(len(index), np.int32), [self.model])]
        if features.shape[1]:
            columns.append(pa.FixedSizeListArray.from_arrays(features[order].ravel(), features.shape[1]))
        schema = score_schema(features.shape[1])
        return pa.table([pa.array(column).cast(field.type) for column, field in zip(columns, schema, strict=True)],
                        schema=schema)

    def _paths_at(self, indices: Sequence[int]) -> pa.Array:
        return self.paths.take(pa.array(indices, pa.int64())).cast(pa.string())

    def _file(self, kind: str, chunk: int) -> Path:
        return self.folder / kind / f'{chunk:08d}.parquet'

    def errors(self, num_examples: int = 3) -> ErrorShare:
        """Count the images that have failed so far.

        Args:
            num_examples: Number of failed images to name.
        """
        files = sorted((self.folder / 'errors').glob('*.parquet'))
        failed = sum(pq.read_metadata(path).num_rows for path in files)
        rows = pq.read_table(files[0]).to_pylist()[:num_examples] if files else []
        return ErrorShare(failed, len(self.paths), [f'{row["path"]}: {row["reason"]}' for row in rows])


def score_chunks(table: ScoreTable, batches: Iterable[Scores], chunks: Sequence[int],
                 max_errors: float = 0.01) -> Iterator[int]:
    """Write chunk after chunk as their scores come in.

    Args:
        table: Table to write into.
        batches: Scores of the images of the chunks, in the order of the chunks.
        chunks: Numbers of the chunks.
        max_errors: Share of the pool's images that may fail.

    Yields:
        Number of images of each batch.

    Raises:
        ValueError: More failed; the scores so far are kept.
    """
    batches = iter(batches)
    failed = 0
    for chunk in chunks:
        parts: list[Scores] = []
        left = len(table.indices(chunk))
        while left:
            parts.append(next(batches))
            done = len(parts[-1].index) + len(parts[-1].failures)
            left -= done
            if not left:
                table.write(chunk, parts)
            yield done
        failed += sum(len(part.failures) for part in parts)
        if failed > max_errors * len(table.paths):
            check_errors(table, max_errors)


def check_errors(table: ScoreTable, max_errors: float) -> None:
    """Compare the share of failed images with its limit.

    Args:
        table: The table.
        max_errors: See :func:`score_chunks`.

    Raises:
        ValueError: More failed.
    """
    errors = table.errors()
    if errors.failed > max_errors * errors.total:
        raise ValueError(
            f'{errors.failed} of {errors.total} images could not be scored, the limit is {max_errors:.2%} '
            f'(max_errors): {"; ".join(errors.examples)}. All are listed in {table.folder}/errors. Scores so far are '
            'kept: repeat the command with a higher limit, or repair the pool and score into another folder')


def batches_of(table: ScoreTable, chunks: Sequence[int], batch_size: int) -> list[range]:
    """Indices into the pool for a loader: no batch crosses the border of a chunk.

    So a batch holds the same images whatever was done before and by how many processes.

    Args:
        table: The table.
        chunks: Numbers of chunks.
        batch_size: Images in a batch, at least 1.
    """
    return [indices[start:start + batch_size] for indices in map(table.indices, chunks)
            for start in range(0, len(indices), batch_size)]


def checksum_of_paths(paths: pa.Array) -> str:
    """SHA-256 of the paths, each ended by a line feed.

    Args:
        paths: (N,), text.
    """
    digest = hashlib.sha256()
    for start in range(0, len(paths), 1 << 16):
        digest.update(''.join(f'{path}\n' for path in paths[start:start + (1 << 16)].to_pylist()).encode())
    return digest.hexdigest()


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet, completely or not at all.

    Args:
        path: File to write; its folder is made.
        table: Its content.
    """
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression='zstd')
    write_bytes(path, buffer.getvalue().to_pybytes())

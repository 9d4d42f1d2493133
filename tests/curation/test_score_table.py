"""Shards of scores: chunks, what is left after a stop, errors and their limit."""
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s5_mm.curation import run
from s5_mm.curation.loading import Failure
from s5_mm.curation.score_table import ScoreTable, batches_of, check_errors, default_chunk_size, score_chunks
from s5_mm.curation.scoring import Scores

SETTINGS = dict(model='vit-1234', root='/pool')


def make_table(folder, number=10, chunk_size=4, **settings):
    return ScoreTable(folder, pa.array([f'{i}.png' for i in range(number)], pa.large_string()), SETTINGS | settings,
                      largest=2.0, chunk_size=chunk_size)


def scores(indices, failed=(), cluster=1, features=0):
    """Entropy i / 10 for image i."""
    index = np.array([i for i in indices if i not in failed], dtype=np.int64)
    size = np.stack([index + 100, index + 200], axis=1)
    return Scores(index, (index / 10).astype(np.float32), np.full(len(index), cluster),
                  np.full(len(index), 0.5, np.float32), size, np.ones((len(index), features), np.float32),
                  [Failure(i, 'broken') for i in indices if i in failed])


def read(folder, kind='scores'):
    return pa.concat_tables([pq.read_table(path) for path in sorted((folder / kind).glob('*.parquet'))])


def test_rows_are_those_of_the_chunk_in_order(tmp_path):
    table = make_table(tmp_path)
    table.write(1, [scores([7, 6]), scores([4, 5])])
    rows = pq.read_table(tmp_path / 'scores' / '00000001.parquet').to_pylist()
    assert [row['path'] for row in rows] == ['4.png', '5.png', '6.png', '7.png']
    assert rows[2] == dict(path='6.png', entropy=pytest.approx(0.6), entropy_normalized=pytest.approx(0.3), cluster=1,
                           similarity=0.5, width=206, height=106, model='vit-1234')


def test_without_prototypes_cluster_and_similarity_are_null(tmp_path):
    make_table(tmp_path).write(2, [scores([8, 9], cluster=-1, features=3)])
    table = read(tmp_path)
    assert (table['cluster'].null_count, table['similarity'].null_count) == (2, 2)
    assert table['feature'].to_pylist() == [[1, 1, 1]] * 2


def test_chunks_are_divided_and_finished_ones_are_not_done_again(tmp_path):
    table = make_table(tmp_path, number=22)
    assert [table.todo(rank, 2) for rank in (0, 1)] == [[0, 2, 4], [1, 3, 5]]
    table.write(2, [scores(range(8, 12))])
    (tmp_path / 'scores' / '00000003.parquet.77-012345.part').write_bytes(b'half')
    assert table.todo(0, 2) == [0, 4]
    assert table.todo(1, 2) == [1, 3, 5]
    assert make_table(tmp_path, number=22).todo() == [0, 1, 3, 4, 5]


def test_the_wait_for_chunks_of_others_ends(tmp_path, monkeypatch):
    table = make_table(tmp_path)
    monkeypatch.setattr(run, 'POLL_SECONDS', 0.01)
    table.write(1, [scores(range(4, 8))])
    with pytest.raises(SystemExit, match='2 of 3 chunks') as stop:
        run.wait_for_chunks(table, seconds=0.05)
    assert str(tmp_path) in str(stop.value)
    table.write(0, [scores(range(4))])
    table.write(2, [scores(range(8, 10))])
    run.wait_for_chunks(table, seconds=0)


def test_batches_end_with_their_chunk():
    class Table:
        indices = staticmethod(lambda chunk: range(5 * chunk, min(5 * chunk + 5, 13)))

    assert [list(batch) for batch in batches_of(Table, [0, 2], 2)] == [[0, 1], [2, 3], [4], [10, 11], [12]]


def test_a_chunk_is_written_when_all_its_images_are_there(tmp_path):
    table = make_table(tmp_path)
    parts = iter([scores([0, 1]), scores([2, 3], failed=[2]), scores([8]), scores([9])])
    steps = score_chunks(table, parts, [0, 2], max_errors=0.5)
    assert next(steps) == 2
    assert table.finished() == set()
    assert [*steps] == [2, 1, 1]
    assert table.finished() == {0, 2}
    assert read(tmp_path)['path'].to_pylist() == ['0.png', '1.png', '3.png', '8.png', '9.png']
    assert read(tmp_path, 'errors').to_pylist() == [dict(path='2.png', reason='broken')]


def test_too_many_errors_stop_it_and_keep_what_there_is(tmp_path):
    table = make_table(tmp_path)
    parts = iter([scores(range(4), failed=[1]), scores(range(4, 8), failed=[4, 5]), scores([8, 9])])
    with pytest.raises(ValueError, match=r'3 of 10 images could not be scored, the limit is 20\.00% \(max_errors\): '
                                         r'1\.png: broken'):
        list(score_chunks(table, parts, [0, 1, 2], max_errors=0.2))
    assert table.finished() == {0, 1}
    list(score_chunks(table, iter([scores([8, 9])]), table.todo(), max_errors=0.3))
    check_errors(table, 0.3)
    with pytest.raises(ValueError, match='3 of 10'):
        check_errors(table, 0.29)


@pytest.mark.parametrize(('change', 'message'), [
    (dict(number=11), r'images: 10 there, 11 now'), (dict(chunk_size=5), r'chunk_size: 4 there, 5 now'),
    (dict(model='b'), r"model: 'vit-1234' there, 'b' now")])
def test_another_pool_or_model_is_refused(tmp_path, change, message):
    make_table(tmp_path)
    make_table(tmp_path)
    with pytest.raises(ValueError, match=f'was made with other settings .*{message}'):
        make_table(tmp_path, **change)


def test_renamed_images_are_another_pool(tmp_path):
    make_table(tmp_path)
    with pytest.raises(ValueError, match='paths_sha256'):
        ScoreTable(tmp_path, pa.array([f'{i}.jpg' for i in range(10)]), SETTINGS, 2.0, 4)


@pytest.mark.parametrize(('images', 'size'), [(5, 64), (202, 64), (10**6, 976), (10**9, 16384)])
def test_default_chunk_size(images, size):
    assert default_chunk_size(images) == size

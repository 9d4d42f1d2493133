"""Damaged files end by a clear error or are read; the benchmark does the same for hours."""
import random

import pytest

from benchmarks import fuzz


@pytest.mark.parametrize('name', fuzz.READERS)
def test_damaged_files_are_read_or_refused_by_name(tmp_path, name):
    counts, last = fuzz.attack(name, tmp_path, 40, random.Random(name))
    assert counts['raw'] == 0, last
    assert counts['refused'] > 0


def test_raw_errors_are_found(tmp_path):
    """Another type, or an error that does not name the file; damage is a function of the seed."""
    def read(path):
        content = path.read_bytes()
        if content == good:
            return
        raise KeyError(path.name) if len(content) % 2 else ValueError('something is wrong')
    good = b'0123456789' * 9
    reader = fuzz.Reader('a.txt', lambda path: path.write_bytes(good), read)
    (tmp_path / 'a.txt').write_bytes(good[:-1])
    assert fuzz.outcome(reader, tmp_path / 'a.txt') == ('raw', "KeyError: 'a.txt'")
    (tmp_path / 'a.txt').write_bytes(good[:-2])
    assert fuzz.outcome(reader, tmp_path / 'a.txt') == ('raw', 'ValueError: something is wrong')
    assert fuzz.damaged(good, random.Random(1)) == fuzz.damaged(good, random.Random(1)) != good

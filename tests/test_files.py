"""Files are complete or absent; settings under a result do not change."""
import hashlib
import os

import pytest

from s5_mm.files import keep_settings, remove_parts, replacing, sha256_of, write_bytes, write_json, write_text


def test_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / 'new/folder/a.txt'
    with replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.startswith(f'a.txt.{os.getpid()}-')
        assert temporary.suffix == '.part'
        temporary.write_text('one')
        assert not path.exists()
    assert path.read_text() == 'one'
    with replacing(path) as temporary:
        temporary.write_text('two')
        assert path.read_text() == 'one'
    assert path.read_text() == 'two'
    assert [file.name for file in path.parent.iterdir()] == ['a.txt']


def test_error_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')

    def stop():
        with replacing(path) as temporary:
            temporary.write_text('half')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert path.read_text() == 'old'
    assert [file.name for file in tmp_path.iterdir()] == ['a.txt']


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with replacing(tmp_path / 'a') as first, replacing(tmp_path / 'a') as second:
        assert first != second
        first.write_text('first')
        second.write_text('second')
    assert (tmp_path / 'a').read_text() == 'first'  # its block ends last


def test_bytes_text_and_json(tmp_path):
    write_bytes(tmp_path / 'a', b'\0\r\n')
    assert (tmp_path / 'a').read_bytes() == b'\0\r\n'
    write_text(tmp_path / 'a', 'é\n')
    assert (tmp_path / 'a').read_bytes() == b'\xc3\xa9\n'
    write_json(tmp_path / 'a', {'é': [1, None]})
    assert (tmp_path / 'a').read_text(encoding='utf-8') == '{\n  "é": [\n    1,\n    null\n  ]\n}\n'
    assert sha256_of(tmp_path / 'a') == hashlib.sha256((tmp_path / 'a').read_bytes()).hexdigest()


def test_settings_are_kept(tmp_path):
    path = tmp_path / 'out/settings.json'
    keep_settings(path, dict(size=(1, 2), name='a'))
    keep_settings(path, dict(name='a', size=[1, 2]))
    with pytest.raises(ValueError, match=r'out was made with other settings \(more: None there, 3 now; name: '
                                         r".a. there, 'b' now\); repeat these settings .* choose another folder"):
        keep_settings(path, dict(size=(1, 2), name='b', more=3))


def test_temporary_files_of_killed_processes_are_removed_and_no_others(tmp_path):
    (tmp_path / 'folder').mkdir()
    left = ['a.png.123-0a1b2c.part', 'folder/b c.json.7-ffffff.part']
    kept = ['a.png', 'download.zip.part', 'b.7-xyz.part', '12-0a1b2c.part']
    for name in left + kept:
        (tmp_path / name).write_text('')
    with replacing(tmp_path / 'new') as temporary:
        temporary.write_text('')
        assert remove_parts(tmp_path) == 3
        temporary.write_text('')
    assert remove_parts(tmp_path / 'missing') == 0
    assert sorted(path.name for path in tmp_path.rglob('*') if path.is_file()) == sorted([*kept, 'new'])

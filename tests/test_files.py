"""Files are complete or absent; settings under a result do not change."""
import errno
import hashlib
import os

import pytest
import torch
from PIL import Image
from toy_training import state_of, train_toy

from data_prep.downloads import list_files
from s5_mm.checkpoints.writing import write_weights
from s5_mm.datasets import SegDataset
from s5_mm.datasets.unlabeled import image_names
from s5_mm.errors import one_line_errors
from s5_mm.files import (
    keep_settings,
    remove_parts,
    replacing,
    sha256_of,
    walk,
    write_bytes,
    write_json,
    write_text,
)


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


class TestWalk:

    @pytest.fixture
    def loops(self, tmp_path):
        """A folder whose links lead back in two ways, which other walkers follow 2^40 times."""
        for name in ('a/x/1.png', 'a/2.png', 'b/3.png'):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        for name in ('a/up', 'b/up', 'a/x/up'):
            (tmp_path / name).symlink_to('..')
        (tmp_path / 'a/top').symlink_to(tmp_path)
        (tmp_path / 'dead').symlink_to(tmp_path / 'nothing')
        return tmp_path

    def names(self, root, **options):
        return [os.path.relpath(os.path.join(folder, name), root) for folder, names in walk(root, **options)
                for name in names if name.endswith('.png')]

    def test_links_that_lead_back(self, loops):
        assert self.names(loops) == ['a/2.png', 'a/x/1.png', 'b/3.png']
        assert self.names(loops, left_out=loops / 'b') == ['a/2.png', 'a/x/1.png']

    def test_links_that_multiply(self, tmp_path):
        """Without a loop: 2^30 paths lead to the last of 30 folders."""
        for number in range(30):
            (tmp_path / f'all/{number}').mkdir(parents=True)
            for name in ('one', 'two'):
                (tmp_path / f'all/{number}/{name}').symlink_to(tmp_path / f'all/{number + 1}')
        (tmp_path / 'all/30').mkdir()
        (tmp_path / 'all/30/x.png').touch()
        assert len(self.names(tmp_path / 'all/0')) == 1

    def test_link_to_a_folder_is_followed(self, tmp_path, loops):
        (tmp_path / 'other').mkdir()
        (tmp_path / 'other/in').symlink_to(loops / 'b')
        assert self.names(tmp_path / 'other')[0] == 'in/3.png'

    def test_downloads(self, loops):
        assert [where for where, _ in list_files(loops)] == ['a/2.png', 'a/x/1.png', 'b/3.png', 'dead']

    def test_pool_and_labeled_images(self, loops):
        names = sorted(name for names in image_names(str(loops)) for name in names)
        assert names == ['a/2.png', 'a/x/1.png', 'b/3.png']
        for name in names:
            for folder in ('images', 'masks'):
                (loops / folder / name).parent.mkdir(parents=True, exist_ok=True)
                Image.new('L', (4, 4)).save(loops / folder / name)
        for folder in ('images', 'masks'):
            (loops / folder / 'a/up').symlink_to('..')
            (loops / folder / 'b/up').symlink_to('..')
        data = SegDataset(data_root=str(loops), data_prefix=dict(img_path='images', seg_map_path='masks'),
                          img_suffix='.png', seg_map_suffix='.png', metainfo=dict(classes=('a', 'b')), pipeline=[])
        assert [info['seg_map_path'] for info in map(data.get_data_info, range(len(data)))] == [
            f'{loops}/masks/{name}' for name in names]


class TestErrors:
    """Errors of the operating system, by a device that is always full."""

    def test_file_is_named(self, tmp_path):
        def write():
            with replacing(tmp_path / 'a.txt') as temporary:
                temporary.symlink_to('/dev/full')
                temporary.write_bytes(b'x')
        with pytest.raises(OSError, match=r'No space left on device: .*a\.txt'):
            write()
        assert list(tmp_path.iterdir()) == []

    def test_line_with_remedy(self, tmp_path):
        @one_line_errors('train')
        def full():
            raise OSError(errno.ENOSPC, 'No space left on device', str(tmp_path / 'iter_2.pth'))

        @one_line_errors('train')
        def other():
            raise FileNotFoundError(errno.ENOENT, 'No such file', 'x')
        with pytest.raises(SystemExit, match=rf'^train: error: No space left on device \({tmp_path}/iter_2.pth\); free '
                                             'some space .* repeat the command: files that exist are complete.$'):
            full()
        with pytest.raises(FileNotFoundError):
            other()

    @pytest.mark.parametrize('name', ['x.pth', 'x.safetensors'])
    def test_weights(self, tmp_path, monkeypatch, name):
        """torch's writer of archives would speak of an unexpected position."""
        monkeypatch.setattr('s5_mm.files.secrets.token_hex', lambda _: 'abcdef')
        (tmp_path / f'{name}.{os.getpid()}-abcdef.part').symlink_to('/dev/full')
        with pytest.raises(OSError, match=rf'No space left on device: .*{name}'):
            write_weights(str(tmp_path / name), {'w': torch.zeros(100_000)}, {})
        assert list(tmp_path.iterdir()) == []

    def test_training(self, tmp_path, monkeypatch):
        """The second checkpoint finds the disk full; the first one stands, and the run goes on with more room."""
        train_toy(tmp_path, iters=2)
        with monkeypatch.context() as patched:
            patched.setattr('s5_mm.files.secrets.token_hex', lambda _: 'abcdef')
            (tmp_path / f'iter_4.pth.{os.getpid()}-abcdef.part').symlink_to('/dev/full')
            patched.setattr('s5_mm.engine.hooks.work_dir_lock_hook.remove_parts', lambda _: 0)
            with pytest.raises(OSError, match=r'No space left on device: .*iter_4\.pth'):
                train_toy(tmp_path, iters=4, resume=True)
        assert [*state_of(tmp_path)] == ['best_score_iter_2.pth', 'iter_2.pth', 'last_checkpoint']
        train_toy(tmp_path, iters=4, resume=True)
        assert 'iter_4.pth' in state_of(tmp_path)


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

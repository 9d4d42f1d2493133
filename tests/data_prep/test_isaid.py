"""iSAID preparation: windows, colors, layouts, resuming, and errors before any work is done."""
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from data_prep import isaid
from data_prep.isaid import PreparationError, Settings, colors_to_ids, compare_with_published, cut

SHIP, HARBOR = (0, 0, 63), (0, 100, 155)  # ids 1 and 15
SMALL = ['--patch', '8', '--gap', '2', '--crop', '4', '--workers', '1']


def write_pair(images, masks, name, size, boxes=()):
    """An image (red = row, green = column) and a mask with ships in ``boxes`` (top, left, bottom, right)."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, np.full(size, 200)], -1).astype(np.uint8)
    mask = np.zeros((*size, 3), np.uint8)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = SHIP
    for folder, array, suffix in ((images, image, ''), (masks, mask, '_instance_color_RGB')):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / f'{name}{suffix}.png')


@pytest.fixture
def source(tmp_path):
    """Training: P0000 of 8 x 14 whose right patch alone has a ship. Validation: P0001 of 5 x 6, without one."""
    root = tmp_path / 'src'
    write_pair(root / 'train/images', root / 'train/images', 'P0000', (8, 14), [(0, 10, 2, 14)])
    write_pair(root / 'val/images', root / 'val/images', 'P0001', (5, 6))
    Image.new('RGB', (3, 3)).save(root / 'train/images/P0000_instance_id_RGB.png')
    return root


def read(path):
    return np.asarray(Image.open(path))


def files(out):
    return sorted(str(path.relative_to(out)) for path in out.glob('*_dir/**/*') if path.is_file())


class TestPieces:

    def test_colors(self):
        palette = isaid.class_palette()
        assert colors_to_ids(np.array([palette], np.uint8), palette).tolist() == [list(range(16))]
        assert colors_to_ids(np.array([[SHIP, HARBOR]], np.uint8), palette).tolist() == [[1, 15]]

    def test_unknown_color_is_located(self):
        mask = np.zeros((isaid.STRIP_ROWS + 5, 4, 3), np.uint8)
        mask[isaid.STRIP_ROWS + 2, 3] = (1, 2, 3)
        message = 'm.png has the unknown color (1, 2, 3) (red, green, blue) at row 1026, column 3, and 1 pixels'
        with pytest.raises(PreparationError, match=re.escape(message)):
            colors_to_ids(mask, isaid.class_palette(), 'm.png')

    def test_four_crops_of_each_patch(self):
        image, ids = np.zeros((10, 8, 3), np.uint8), np.ones((10, 8), np.uint8)
        positions = [position for position, _, _ in cut(image, ids, Settings(8, 2, 4), drop_empty=True)]
        assert positions == [(top, 0, y, x) for top in (0, 2) for y in (0, 4) for x in (0, 4)]

    def test_crop_as_large_as_the_patch(self):
        crops = list(cut(np.zeros((8, 8, 3), np.uint8), None, Settings(8, 2, 8), drop_empty=False))
        assert [(position, crop.shape, ids) for position, crop, ids in crops] == [((0, 0, 0, 0), (8, 8, 3), None)]

    def test_published_counts(self):
        as_published = {'train': {'images': 1411, 'crops': 38936}, 'val': {'images': 458, 'crops': 21188}}
        assert compare_with_published(as_published) == [
            'train: 38,936 crops of all 1,411 official images, as published',
            'val: 21,188 crops of all 458 official images, as published']
        as_published['train']['crops'] = 40000
        assert 'WHICH DIFFERS from the published 38,936' in compare_with_published(as_published)[0]
        assert compare_with_published({'train': {'images': 3, 'crops': 12}}) == []


class TestRun:

    def test_crops_and_ids(self, source, tmp_path, capsys):
        out = tmp_path / 'out'
        isaid.main([str(source), str(out), *SMALL])
        # The patches of P0000 start at columns 0 and 6; the left one has a ship from column 10 on: none of it.
        names = {'train': [f'P0000_0_6_{y}_{x}.png' for y in (0, 4) for x in (0, 4)],
                 'val': [f'P0001_0_0_{y}_{x}.png' for y in (0, 4) for x in (0, 4)]}
        assert files(out) == [f'{kind}/{split}/{name}' for kind in ('ann_dir', 'img_dir') for split in ('train', 'val')
                              for name in names[split]]
        ship = read(out / 'ann_dir/train/P0000_0_6_0_4.png')
        assert ship.tolist() == [[1] * 4, [1] * 4, [0] * 4, [0] * 4]
        crop = read(out / 'img_dir/train/P0000_0_6_4_4.png')
        assert crop[0, 0].tolist() == [4, 10, 200]
        assert crop.shape == (4, 4, 3)
        told = capsys.readouterr().out
        assert 'train: 1 images, 4 crops' in told
        assert 'test: none found' in told

    def test_splits_one_after_another(self, source, tmp_path, capsys):
        """The numbers are of all that the output holds; splits that were not asked for are not missed."""
        isaid.main([str(source), str(tmp_path / 'out'), *SMALL, '--splits', 'train'])
        assert 'none found' not in capsys.readouterr().out
        isaid.main([str(source), str(tmp_path / 'out'), *SMALL, '--splits', 'val'])
        told = capsys.readouterr().out
        assert 'train: 1 images, 4 crops' in told
        assert 'val: 1 images, 4 crops' in told

    def test_padding(self, source, tmp_path, capsys):
        isaid.main([str(source), str(tmp_path / 'out'), *SMALL])
        # P0001 has 5 rows and 6 columns: its lower right crop starts at row 4, column 4.
        assert read(tmp_path / 'out/ann_dir/val/P0001_0_0_4_4.png').tolist() == [[0, 0, 255, 255]] + [[255] * 4] * 3
        image = read(tmp_path / 'out/img_dir/val/P0001_0_0_4_4.png')
        assert image[0, :, 2].tolist() == [200, 200, 0, 0]
        assert not image[1:].any()

    def test_keep_empty(self, source, tmp_path):
        isaid.main([str(source), str(tmp_path / 'out'), *SMALL, '--keep-empty', '--splits', 'train'])
        assert len(files(tmp_path / 'out')) == 16

    def test_archives_as_they_are_with_two_workers(self, tmp_path):
        root, out = tmp_path / 'src', tmp_path / 'out'
        for name in ('P0002', 'P0003'):
            write_pair(root / 'train/images/images', root / 'train/Semantic_masks/images', name, (8, 8), [(0, 0, 1, 1)])
        write_pair(root / 'test/images/images', None, 'P0006', (8, 8))
        isaid.main([str(root), str(out), *SMALL[:-1], '2'])
        assert len(files(out)) == 2 * 8 + 4
        assert not (out / 'ann_dir/test').exists()
        assert read(out / 'ann_dir/train/P0003_0_0_0_0.png')[0].tolist() == [1, 0, 0, 0]

    def test_output_serves_the_data_set(self, source, tmp_path):
        from s5_mm.datasets import ISAIDDataset
        isaid.main([str(source), str(tmp_path / 'out'), *SMALL])
        prefix = {'img_path': 'img_dir/val', 'seg_map_path': 'ann_dir/val'}
        assert len(ISAIDDataset(data_root=str(tmp_path / 'out'), data_prefix=prefix)) == 4


class TestResume:

    def test_goes_on_after_an_error(self, source, tmp_path):
        out = tmp_path / 'out'
        mask = source / 'val/images/P0001_instance_color_RGB.png'
        good = mask.read_bytes()
        Image.new('RGB', (6, 5), (9, 9, 9)).save(mask)
        with pytest.raises(SystemExit, match=r'P0001_instance_color_RGB.png has the unknown color \(9, 9, 9\)'):
            isaid.main([str(source), str(out), *SMALL])
        first = {path: path.stat().st_mtime_ns for path in out.glob('img_dir/train/*')}
        assert len(first) == 4
        mask.write_bytes(good)
        isaid.main([str(source), str(out), *SMALL])
        assert len(files(out)) == 16
        assert {path: path.stat().st_mtime_ns for path in out.glob('img_dir/train/*')} == first

    def test_lost_crop_and_interrupted_image_are_made_again(self, source, tmp_path):
        out = tmp_path / 'out'
        isaid.main([str(source), str(out), *SMALL])
        (out / 'ann_dir/train/P0000_0_6_0_0.png').unlink()
        (out / 'records/val/P0001.json').unlink()
        (out / 'img_dir/val/P0001_0_0_0_0.png').write_bytes(b'half')
        isaid.main([str(source), str(out), *SMALL])
        assert len(files(out)) == 16
        assert read(out / 'img_dir/val/P0001_0_0_0_0.png').shape == (4, 4, 3)

    def test_other_settings(self, source, tmp_path):
        out = tmp_path / 'out'
        isaid.main([str(source), str(out), *SMALL])
        with pytest.raises(SystemExit, match=r'was made with other settings \(gap: 2 there, 0 now\); repeat'):
            isaid.main([str(source), str(out), *SMALL, '--gap', '0'])
        assert json.loads((out / 'isaid_settings.json').read_text())['gap'] == 2


class TestErrors:

    def fails(self, root, tmp_path, *args):
        with pytest.raises(SystemExit) as caught:
            isaid.main([str(root), str(tmp_path / 'out'), *SMALL, *args])
        assert not (tmp_path / 'out').exists()
        return str(caught.value)

    def test_missing_source(self, tmp_path):
        assert 'source folder' in self.fails(tmp_path / 'none', tmp_path)

    def test_missing_split(self, source, tmp_path):
        assert f'{source} has no folder test' in self.fails(source, tmp_path, '--splits', 'test')

    def test_nothing_there(self, tmp_path):
        (tmp_path / 'src').mkdir()
        assert 'has no folder train or val or test' in self.fails(tmp_path / 'src', tmp_path)
        (tmp_path / 'src/train/images').mkdir(parents=True)
        assert f'no image *.png in {tmp_path}/src/train/images' in self.fails(tmp_path / 'src', tmp_path)

    def test_missing_mask(self, source, tmp_path):
        (source / 'train/images/P0000_instance_color_RGB.png').unlink()
        assert '1 of 1 images of train have no mask *_instance_color_RGB.png in' in self.fails(source, tmp_path)

    def test_sizes_differ(self, source, tmp_path):
        Image.new('RGB', (5, 5)).save(source / 'val/images/P0001_instance_color_RGB.png')
        assert re.search(r'P0001.png is 6 x 5 pixels but its label .* is 5 x 5', self.fails(source, tmp_path))

    def test_damaged_header(self, source, tmp_path):
        (source / 'val/images/P0001.png').write_bytes(b'x')
        assert re.search('cannot read .*P0001.png: .*; fetch it again', self.fails(source, tmp_path))

    @pytest.mark.parametrize(('args', 'message'), [
        (['--crop', '9'], '--crop is 9; it must be 1..8'), (['--gap', '8'], '--gap is 8; it must be 0..7')])
    def test_impossible_sizes(self, source, tmp_path, args, message):
        assert message in self.fails(source, tmp_path, *args)

    def test_truncated_image(self, source, tmp_path):
        path = source / 'val/images/P0001.png'
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(SystemExit, match='cannot read .*P0001.png'):
            isaid.main([str(source), str(tmp_path / 'out'), *SMALL])


def test_help_as_a_script():
    out = subprocess.run([sys.executable, isaid.__file__, '--help'], capture_output=True, text=True, check=True).stdout
    assert 'img_dir/{train,val,test}' in out
    assert '--keep-empty' in out

"""Preparation of DOTA: which files are taken, where patches lie, which objects they have, and that nothing is lost."""
import functools
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from data_prep import dota, synthetic
from data_prep.dota_patches.sources import find_sources
from data_prep.dota_patches.windows import ObjectShares, PatchWindow, Settings, find_patches
from data_prep.downloads import File, PreparationError
from s5_mm import locks
from s5_mm.datasets.rotated_files import read_dota_text
from s5_mm.evaluation.patches import parse_patch, to_image
from s5_mm.registry import DATASETS

CONFIG = Path(__file__).parents[2] / 'configs/_base_/datasets/dior_r_dota_synthetic.py'
SMALL = ['--size', '32', '--gap', '8']


def run(source, out, *more):
    dota.main([str(source), str(out), '--workers', '1', *more])
    return sorted(path.relative_to(out).as_posix() for path in out.rglob('*') if path.suffix in ('.png', '.txt'))


def fails(source, out, *more):
    with pytest.raises(SystemExit) as caught:
        run(source, out, *more)
    return str(caught.value)


def picture(height, width, channels=3, dtype=np.uint8):
    """No two neighboring pixels alike."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top, (height, width, channels), dtype, endpoint=True)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.squeeze()).save(path)
    return path


def download(root, text, split='val', name='P0', size=(40, 50)):
    """A download of one image, of (height, width) px."""
    save(root / split / 'images' / f'{name}.png', picture(*size))
    (root / split / 'labelTxt').mkdir(parents=True, exist_ok=True)
    (root / split / 'labelTxt' / f'{name}.txt').write_text(text)
    return root


def pixels(path):
    return np.asarray(Image.open(path))


def objects_of(out, split='val', rate='32'):
    """Objects of all patches at a scale, in pixels of the whole image, without those of difficulty 2."""
    found = set()
    for path in (out / 'patches' / split / 'labelTxt').glob(f'*__{rate}__*.txt'):
        for polygon, name, difficulty in read_dota_text(str(path)):
            if difficulty < 2:
                whole = to_image(np.array([polygon]), parse_patch(path.stem))[0]
                found.add((tuple(whole.round(9).tolist()), name, difficulty))
    return found


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
    """A synthetic download, which no test may change: 2 + 1 + 1 images of 64 px."""
    root = tmp_path_factory.mktemp('raw') / 'dota'
    assert synthetic.main(['dota', str(root), '--train', '2', '--val', '1', '--test', '1', '--size', '64']) == 0
    return root


def test_synthetic_download_to_training_sample(raw, tmp_path, capsys):
    """Windows of 32 px with gap 8 in 64 px start at 0, 24 and 32: nine patches an image."""
    out = tmp_path / 'out'
    files = run(raw, out, *SMALL)
    counts = {split: sum(bool(re.match(rf'patches/{split}/images/.*\.png', file)) for file in files)
              for split in ('train', 'val', 'trainval', 'test')}
    assert counts == {'train': 18, 'val': 9, 'trainval': 27, 'test': 9}
    assert 'trainval/images/P0000.png' in files
    assert (out / 'patches/trainval/images/P0001__32__24___32.png').is_symlink()
    assert not (out / 'patches/test/labelTxt').exists()
    told = capsys.readouterr().out
    assert 'train: 2 images: NOT COMPLETE, the official split has 1,830 images' in told
    assert re.search(r'^train: 18 patches; \d+ objects', told, re.MULTILINE)
    config = Config.fromfile(CONFIG)
    for settings in (config.detection_sources.dota, config.detection_loaders.dota.dataset):
        dataset = DATASETS.build({**settings, 'data_root': str(out / 'patches')})
        assert dataset[0]['inputs'].shape == (3, 128, 128)
    assert len(dataset) == 9


def test_merging_gives_back_the_objects(tmp_path):
    """Numbers that have no short binary form, corners beyond the border, an object in several patches."""
    text = ('imagesource:x\r\ngsd:0.1\r\n0.1 0.2 12.3 0.3 12.7 9.1 0.4 9.9 ship 0\r\n'
            '-3 20 9 20 9 30.7 -3 30.7 harbor 1\r\n20 12 30 12 30 22 20 22 plane\r\n')
    for rate in ('1', '0.5', '1.5'):
        out = tmp_path / rate
        run(download(tmp_path / 'raw', text), out, *SMALL, '--rates', rate)
        objects = {(found.polygon, found.name, found.difficulty)
                   for found in read_dota_text(str(tmp_path / 'raw/val/labelTxt/P0.txt'))}
        assert objects_of(out, rate='32' if rate == '1' else rate) == objects
        assert len(objects) == 3


def test_patches_hold_the_pixels_of_the_image(tmp_path):
    """Windows of 32 px in 40 x 50 px start at rows 0 and 8, columns 0 and 18."""
    run(download(tmp_path / 'raw', ''), tmp_path / 'out', *SMALL)
    image = pixels(tmp_path / 'raw/val/images/P0.png')
    patches = {path.stem: pixels(path) for path in (tmp_path / 'out/patches/val/images').iterdir()}
    assert set(patches) == {f'P0__32__{x}___{y}' for x in (0, 18) for y in (0, 8)}
    for name, patch in patches.items():
        place = parse_patch(name)
        assert (patch == image[place.top:place.top + 32, place.left:place.left + 32]).all()
    info = json.loads((tmp_path / 'out/patches/info.json').read_text())
    assert info['images'] == {'val': {'P0': [40, 50]}}
    assert (info['size'], info['gap'], info['rates'], info['pad']) == (32, 8, [1.0], [124, 116, 104])


def test_small_images_are_padded(tmp_path):
    run(download(tmp_path / 'raw', '', size=(20, 32)), tmp_path / 'out', *SMALL, '--pad', '1', '2', '3')
    patch = pixels(tmp_path / 'out/patches/val/images/P0__32__0___0.png')
    assert (patch[:20] == pixels(tmp_path / 'raw/val/images/P0.png')).all()
    assert (patch[20:] == (1, 2, 3)).all()


def test_other_scales_fit_together(tmp_path):
    """Windows of the scaled image equal the whole image scaled at once but for rounding."""
    image = Image.fromarray(np.tile(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], (60, 1, 3)))
    (tmp_path / 'raw/val/images').mkdir(parents=True)
    image.save(tmp_path / 'raw/val/images/P0.png')
    (tmp_path / 'raw/val/labelTxt').mkdir()
    (tmp_path / 'raw/val/labelTxt/P0.txt').touch()
    run(tmp_path / 'raw', tmp_path / 'out', *SMALL, '--rates', '0.8', '1.5')
    for rate, side in ((0.8, 48), (1.5, 90)):
        scaled = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)).astype(int)
        paths = list((tmp_path / 'out/patches/val/images').glob(f'P0__{rate}__*.png'))
        assert len(paths) == (4 if rate == 0.8 else 16)
        for path in paths:
            place = parse_patch(path.stem)
            expected = scaled[place.top:place.top + 32, place.left:place.left + 32]
            assert np.abs(pixels(path).astype(int) - expected).max() <= 1


def test_shares_by_hand():
    """In 100 x 100 px: inside; half in the window; half outside the image; a line; crossed corners; far outside."""
    polygons = np.array([[10, 10, 20, 10, 20, 20, 10, 20], [40, 0, 60, 0, 60, 10, 40, 10],
                         [-10, 30, 10, 30, 10, 40, -10, 40], [5, 5, 9, 9, 9, 9, 5, 5],
                         [40, 50, 60, 60, 60, 50, 40, 60], [200, 0, 210, 0, 210, 9, 200, 9]], float)
    shares = ObjectShares(polygons, (100, 100))
    assert shares.of(PatchWindow(1, 0, 0, 50, 100)) == pytest.approx([1, 0.5, 1, 1, 0.5, 0])
    assert shares.of(PatchWindow(2, 100, 0, 100, 200)) == pytest.approx([0, 0.5, 0, 0, 0.5, 0])
    assert ObjectShares(np.zeros((0, 8)), (10, 10)).of(PatchWindow(1, 0, 0, 5, 5)).shape == (0, )


@pytest.mark.parametrize(('option', 'lines'), [
    ((), ['ship 0', 'plane 2']), (('--truncated', 'drop'), ['ship 0']), (('--keep', '0.6'), ['ship 0', 'plane 0']),
    (('--keep', '0.75'), ['ship 2', 'plane 2'])])
def test_truncated_objects_by_rule(tmp_path, option, lines):
    """The first patch of 32 px shows 7 of the ship's 10 columns and 6 of the plane's."""
    text = '25 0 35 0 35 10 25 10 ship 0\n26 20 36 20 36 30 26 30 plane 0\n'
    run(download(tmp_path / 'raw', text), tmp_path / 'out', *SMALL, *option)
    written = (tmp_path / 'out/patches/val/labelTxt/P0__32__0___0.txt').read_text().splitlines()
    assert [' '.join(line.split()[8:]) for line in written] == lines


def test_classes_of_ones_own(tmp_path, capsys):
    """Data of one's own in the files of DOTA, with classes of its own, reaches training without any code."""
    out, source = tmp_path / 'out', download(tmp_path / 'raw', '0 0 9 0 9 9 0 9 zeppelin 0\n', 'train')
    run(source, out, *SMALL, '--classes', 'kite', 'zeppelin')
    assert capsys.readouterr().out == 'train: 4 patches; 1 objects\n'
    settings = Config.fromfile(CONFIG).detection_sources.dota
    dataset = DATASETS.build({**settings, 'data_root': str(out / 'patches'),
                              'metainfo': dict(classes=('kite', 'zeppelin'), palette=[(255, 0, 0), (0, 255, 0)])})
    assert len(dataset) == 1
    assert dataset[0]['data_samples'].gt_instances.labels.tolist() == [1]
    assert dataset.metainfo['classes'] == ('kite', 'zeppelin')


def test_what_is_too_large_for_every_patch_is_told(tmp_path, capsys):
    run(download(tmp_path / 'raw', '0 0 50 0 50 40 0 40 airport 0\n'), tmp_path / 'out', *SMALL)
    assert 'val: 4 patches; 1 objects, 1 of them in no patch to 70%' in capsys.readouterr().out


def test_objects_without_area_and_labels_without_image_are_told(tmp_path, capsys):
    """A point, a slanted line and a sound object; a label file beside it belongs to no image."""
    text = '9 9 9 9 9 9 9 9 ship 0\n1 1 9 4 9 4 1 1 ship 0\n0 0 9 0 9 9 0 9 ship 0\n'
    source = download(tmp_path / 'raw', text)
    (source / 'val/labelTxt/P7.txt').write_text('')
    run(source, tmp_path / 'out', *SMALL, '--classes', 'ship')
    lines = capsys.readouterr().out.splitlines()
    assert lines == ['val: 4 patches; 3 objects, 2 of them without area, e.g. in val/labelTxt/P0.txt',
                     'val: 1 label files have no image and were left out, e.g. P7.txt']


def test_empty_training_patches_can_be_left_out(tmp_path):
    for split in ('train', 'val'):
        download(tmp_path / 'raw', '0 0 5 0 5 5 0 5 ship 0\n', split)
    files = run(tmp_path / 'raw', tmp_path / 'out', *SMALL, '--drop-empty')
    assert [file for file in files if 'patches/train/images' in file] == ['patches/train/images/P0__32__0___0.png']
    assert sum('patches/val/images' in file for file in files) == 4


def test_transparent_and_deep_images(tmp_path):
    """RGBA loses its transparency; 16 bits are stretched: 0 ... 65535 becomes 0 ... 255; the files stay as they are."""
    image, deep = picture(32, 32, 4), picture(32, 32, 1, np.uint16)
    for name, array in (('P0', image), ('P1', deep)):
        path = save(download(tmp_path / 'raw', '', name=name) / f'val/images/{name}.png', array)
        assert Image.open(path).mode in ('RGBA', 'I;16')
    run(tmp_path / 'raw', tmp_path / 'out', *SMALL, '--value-range', '0', '65535')
    patches = [pixels(tmp_path / f'out/patches/val/images/P{number}__32__0___0.png') for number in (0, 1)]
    assert (patches[0] == image[..., :3]).all()
    assert (patches[1] == np.rint(deep / 65535 * 255)).all()
    assert (tmp_path / 'out/val/images/P1.png').read_bytes() == (tmp_path / 'raw/val/images/P1.png').read_bytes()


def test_second_run_makes_only_what_is_missing(raw, tmp_path):
    out = tmp_path / 'out'
    first = run(raw, out, *SMALL)
    kept, lost = out / 'patches/train/images/P0000__32__0___0.png', out / 'patches/train/labelTxt/P0003__32__0___0.txt'
    before, text = kept.stat().st_mtime_ns, lost.read_text()
    lost.unlink()
    assert run(raw, out, *SMALL, '--workers', '2') == first
    assert kept.stat().st_mtime_ns == before
    assert lost.read_text() == text
    assert 'was made with other settings (gap: 8 there, 9 now)' in fails(raw, out, '--size', '32', '--gap', '9')


def test_one_preparation_of_a_folder_at_a_time_which_removes_what_killed_ones_left(raw, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    monkeypatch.setattr(locks, 'locked', functools.partial(locks.locked, patience=-1))
    with locks.locked(out):
        assert f'works in {out}; wait until it ends, or choose another folder' in fails(raw, out, *SMALL)
    left = out / 'train/images/P0000.png.123-0a1b2c.part'
    left.parent.mkdir(parents=True)
    left.write_bytes(b'half')
    run(raw, out, *SMALL)
    assert not list(out.rglob('*.part'))
    assert not list(out.rglob('.lock'))


def test_archives_and_labels_of_the_version(tmp_path):
    """An archive of images, and labels of two versions and of upright boxes beside each other."""
    download(tmp_path / 'plain', '', 'train')
    source = tmp_path / 'raw/train'
    (source / 'images').mkdir(parents=True)
    with zipfile.ZipFile(source / 'images/part1.zip', 'w') as archive:
        archive.write(tmp_path / 'plain/train/images/P0.png', 'images/P0.png')
    for place, name in {'labelTxt-v1.5/DOTA-v1.5_train': 'container-crane', 'labelTxt-v2.0/DOTA-v2.0_train': 'helipad',
                        'labelTxt-v2.0/DOTA-v2.0_train_hbb': 'airport'}.items():
        (source / place).parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(source / f'{place}.zip', 'w') as archive:
            archive.writestr('P0.txt', f'0 0 5 0 5 5 0 5 {name} 0')
    for version, name in {'v2.0': 'helipad', 'v1.5': 'container-crane'}.items():
        run(tmp_path / 'raw', tmp_path / version, *SMALL, '--version', version)
        assert name in (tmp_path / version / 'patches/train/labelTxt/P0__32__0___0.txt').read_text()
    message = fails(tmp_path / 'raw', tmp_path / 'old', *SMALL, '--version', 'v1.0')
    assert re.search(r'1 images of train have no label file of v1.0, e.g. .*P0.png; 1 have labels of other '
                     'versions, see --version; an image without objects has an empty one', message)


def test_splits_are_told_by_folders(tmp_path):
    places = ['train/images/P1.png', 'DOTA-v2.0_test-dev/P2.png', 'test-challenge/P3.jpg', 'val/images/part1/P4.tif',
              'contest/P5.png', 'P6.png', 'train/labelTxt/P1.txt', 'val/labelTxt-v2.0/P4.txt', 'val/readme.md']
    sources = find_sources([(place, File(Path(place))) for place in places], 'v2.0')
    assert [(source.split, source.name, bool(source.mask)) for source in sources] == [
        ('train', 'P1', True), ('val', 'P4', True), ('test', 'P2', False), ('test-challenge', 'P3', False)]


@pytest.mark.parametrize(('text', 'message'), [
    ('gsd:1\n1 2 3 4 5 6 7 ship', 'P0.txt, line 2: '),
    ('0 0 5 0 5 5 0 5 zeppelin 0', "P0.txt has 1 objects of unknown classes, e.g. 'zeppelin'; known are plane, "),
])
def test_wrong_labels(tmp_path, text, message):
    assert message in fails(download(tmp_path / 'raw', text), tmp_path / 'out', *SMALL)


def test_damaged_image(tmp_path):
    path = download(tmp_path / 'raw', '') / 'val/images/P0.png'
    path.write_bytes(path.read_bytes()[:3000])
    assert re.search(r'cannot cut .*raw/val/images/P0.png: it is damaged', fails(tmp_path / 'raw', tmp_path / 'out'))


def test_patches_are_no_whole_images(tmp_path):
    download(tmp_path / 'raw', '', name='P0__1024__0___0')
    assert '1 images have "__" in their name, which marks patches' in fails(tmp_path / 'raw', tmp_path / 'out')
    (tmp_path / 'empty').mkdir()
    assert 'found no image below a folder named train, val or test' in fails(tmp_path / 'empty', tmp_path / 'out')


@pytest.mark.parametrize(('options', 'message'), [
    (dict(size=16), '--size is 16; it must be at least 32'), (dict(gap=1024), '--gap is 1024; it must be 0..1023'),
    (dict(keep=0.0), '--keep is 0; it is a share'), (dict(rates=(1.0, 1.0)), '--rates are'),
    (dict(rates=(64.0, )), 'be from 0.01 to below 32'), (dict(pad=(0, 0, 256)), '--pad is'),
    (dict(value_range=(5.0, 5.0)), r'--value-range is \(5.0, 5.0\)')])
def test_impossible_settings(options, message):
    with pytest.raises(PreparationError, match=message):
        Settings(**options)


def test_windows_of_the_published_setting():
    """1024 px with gap 200 step by 824: an image of 2872 px has starts 0, 824, 1648 and, moved inside, 1848."""
    patches = list(find_patches((1000, 2872), Settings()))
    assert [(patch.left, patch.top, patch.width, patch.height) for patch in patches] == [
        (0, 0, 1024, 1000), (824, 0, 1024, 1000), (1648, 0, 1024, 1000), (1848, 0, 1024, 1000)]
    assert patches[1].name('P1', 1024) == 'P1__1024__824___0'
    assert PatchWindow(2.0, 3, 4, 5, 6).name('P1', 1024) == 'P1__2.0__3___4'

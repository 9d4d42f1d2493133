"""Preparation of Potsdam, Vaihingen, LoveDA and OpenEarthMap: from genuine layouts to what the datasets read."""
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets import PotsdamDataset
from PIL import Image

from data_prep import downloads, isprs, loveda, openearthmap, potsdam, preparing, synthetic, vaihingen
from data_prep.downloads import File, PreparationError
from data_prep.preparing import Official, compare
from s5_mm.registry import DATASETS
from s5_mm.tiling import window_starts

CONFIGS = Path(__file__).parents[2] / 'configs'
SERVER = 'mdf_seg/moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-loveda-server-512x512.py'
COMMANDS = {'potsdam': potsdam, 'vaihingen': vaihingen, 'loveda': loveda, 'openearthmap': openearthmap}
SCENES = {
    'potsdam': ['--train', '2', '--val', '1', '--size', '64', '--coarser', '8'],
    'vaihingen': ['--train', '2', '--val', '1', '--size', '64', '--coarser', '8'],
    'loveda': ['--train', '3', '--val', '2', '--test', '1', '--size', '64'],
    'openearthmap': ['--train', '2', '--val', '1', '--size', '64', '--styles', 'arid,dusk'],
}
OPTIONS = {'potsdam': ['--crop', '32', '--train-stride', '16', '--val-stride', '32'], 'vaihingen': ['--crop', '32']}
WHITE, BLUE, RED = (255, 255, 255), (0, 0, 255), (255, 0, 0)


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
    """Synthetic downloads of all four, which no test may change."""
    root = tmp_path_factory.mktemp('raw')
    for name, options in SCENES.items():
        assert synthetic.main([name, str(root / name), *options]) == 0
    return root


def run(name, source, out, *more):
    COMMANDS[name].main([str(source), str(out), '--workers', '1', *OPTIONS.get(name, []), *more])
    return sorted(path.relative_to(out).as_posix() for path in out.glob('*_dir/**/*') if path.is_file())


def fails(name, source, out, *more):
    with pytest.raises(SystemExit) as caught:
        run(name, source, out, *more)
    return str(caught.value)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def read(path):
    return np.asarray(Image.open(path))


@pytest.mark.parametrize(('name', 'train', 'val'), [
    ('potsdam', 2 * 9, 4), ('vaihingen', 2 * 4, 4), ('loveda', 3, 2), ('openearthmap', 2, 1)])
def test_synthetic_download_to_training_sample(raw, tmp_path, name, train, val):
    """Windows of 32 px in tiles of 64 px: nine with stride 16, four with 32 (512 px, moved inside)."""
    init_default_scope('mmseg')
    files = run(name, raw / name, tmp_path)
    found = [[file for file in files if file.startswith(f'img_dir/{split}/')] for split in ('train', 'val')]
    assert [len(split) for split in found] == [train, val]
    config = Config.fromfile(CONFIGS / '_base_/datasets/landcover4.py')
    for settings, count in ((config.sources[name], train), (config.loaders[name].dataset, val)):
        dataset = DATASETS.build({**settings, 'data_root': str(tmp_path)})
        assert len(dataset) == count
        labels = dataset[0]['data_samples'].gt_sem_seg.data
        assert dataset[0]['inputs'].shape[0] == 3
        assert set(labels.unique().tolist()) <= {*range(len(dataset.metainfo['classes'])), 255}
        assert (labels < 255).any()


@pytest.mark.parametrize('name', list(COMMANDS))
def test_archives_give_the_same_as_folders(raw, tmp_path, name):
    folders = [path for path in (raw / name).iterdir() if path.is_dir()]
    archives = tmp_path / 'src'
    archives.mkdir()
    for folder in folders if name != 'openearthmap' else [raw / name]:
        with zipfile.ZipFile(archives / f'{folder.name}.zip', 'w') as archive:
            for path in folder.rglob('*'):
                archive.write(path, path.relative_to(folder.parent))
    files = run(name, raw / name, tmp_path / 'a')
    assert run(name, archives, tmp_path / 'b', '--workers', '2') == files
    assert all((tmp_path / 'a' / file).read_bytes() == (tmp_path / 'b' / file).read_bytes() for file in files)


@pytest.mark.parametrize('name', list(COMMANDS))
def test_second_run_makes_only_what_is_missing(raw, tmp_path, name, monkeypatch):
    files = run(name, raw / name, tmp_path)
    before = {file: (tmp_path / file).read_bytes() for file in files}
    (tmp_path / files[0]).unlink()
    record = next((tmp_path / 'records/val').iterdir())
    record.unlink()
    made = []
    monkeypatch.setattr(preparing, '_work_and_record', lambda work, out, source: made.append(source) or _record(
        work, out, source))
    assert run(name, raw / name, tmp_path) == files
    assert len(made) == 2
    assert {file: (tmp_path / file).read_bytes() for file in files} == before
    assert not list(tmp_path.rglob('*.part'))


_record = preparing._work_and_record


class TestISPRS:

    def test_colors_and_names_are_those_of_mmseg(self, tmp_path):
        ids = np.arange(7, dtype=np.uint8)
        assert isprs.COLORS[1:] == tuple(map(tuple, PotsdamDataset.METAINFO['palette']))
        save(tmp_path / 'src/2_Ortho_RGB/top_potsdam_6_13_RGB.tif', np.full((5, 7, 3), 9))
        save(tmp_path / 'src/5_Labels_all/top_potsdam_6_13_label.tif', np.array([[isprs.COLORS[i] for i in ids]] * 5))
        files = run('potsdam', tmp_path / 'src', tmp_path / 'out', '--crop', '4', '--val-stride', '2')
        windows = [(left, top) for top in (0, 1) for left in (0, 2, 3)]
        assert files == sorted(f'{kind}/val/6_13_{left}_{top}_{left + 4}_{top + 4}.png' for left, top in windows
                               for kind in ('img_dir', 'ann_dir'))
        assert read(tmp_path / 'out/ann_dir/val/6_13_3_1_7_5.png').tolist() == [[3, 4, 5, 6]] * 4

    def test_crops_of_the_official_tiles(self):
        """Potsdam's tiles have 6000 x 6000 px; sizes of Vaihingen's training tiles as (width, height)."""
        assert 24 * len(window_starts(6000, 512, potsdam.DEFAULTS.train_stride))**2 == 12696
        assert 14 * len(window_starts(6000, 512, potsdam.DEFAULTS.val_stride))**2 == 2016
        sizes = [(1919, 2569), (2006, 3007), (1887, 2557), (1887, 2557), (1893, 2566), (2818, 2558), (1919, 2565),
                 (2336, 1281), (1903, 2546), (1903, 2546), (2995, 1783), (1917, 2567), (1934, 2563), (1980, 2555),
                 (1388, 2555), (1996, 1995)]
        assert len(sizes) == len(isprs.VAIHINGEN_TILES['train'])
        stride = vaihingen.DEFAULTS.train_stride
        assert sum(len(window_starts(w, 512, stride)) * len(window_starts(h, 512, stride)) for w, h in sizes) == 344

    @pytest.mark.parametrize('tiles', [isprs.POTSDAM_TILES, isprs.VAIHINGEN_TILES])
    def test_splits_share_no_tile(self, tiles):
        assert not set(tiles['train']) & set(tiles['val'])
        assert len(set(tiles['train'])) + len(set(tiles['val'])) in (33, 38)

    @pytest.fixture
    def tile(self, tmp_path):
        """Writes one tile, whose label is one row of colors."""
        def write(name, colors):
            save(tmp_path / f'2_Ortho_RGB/top_potsdam_{name}_RGB.tif', np.zeros((1, len(colors), 3)))
            save(tmp_path / f'5_Labels_all/top_potsdam_{name}_label.tif', [colors])
            return tmp_path
        return write

    def test_other_colors(self, tile, tmp_path):
        root = tile('2_10', [WHITE, (250, 255, 255)])
        error = fails('potsdam', root, tmp_path / 'out')
        assert 'potsdam: error: ' in error
        assert 'top_potsdam_2_10_label.tif has the unknown color (250, 255, 255)' in error
        assert 'at row 0, column 1, and 1 pixels outside the 7 colors' in error
        assert error.endswith('--nearest-color accepts other colors')

    def test_known_defects_of_the_official_labels(self, tile, tmp_path, capsys):
        """(252, 255, 0) is a car; lossy colors go to the nearest; pink is none."""
        root = tile('4_12', [(252, 255, 0), (9, 222, 221), (225, 227, 227), (200, 20, 180), BLUE])
        run('potsdam', root, tmp_path / 'out')
        assert read(tmp_path / 'out/ann_dir/train/4_12_0_0_5_1.png').tolist() == [[5, 3, 1, 0, 2]]
        assert '4_12_label.tif: 80.0% of the pixels have colors outside the palette' in capsys.readouterr().out

    def test_nearest_color_by_option(self, tile, tmp_path):
        run('potsdam', tile('2_10', [(200, 100, 90), RED]), tmp_path / 'out', '--nearest-color')
        assert read(tmp_path / 'out/ann_dir/train/2_10_0_0_2_1.png').tolist() == [[6, 6]]

    def test_kind_of_label(self, raw, tmp_path, capsys):
        run('vaihingen', raw / 'vaihingen', tmp_path / 'a')
        assert '(eroded labels)' in capsys.readouterr().out
        error = fails('vaihingen', raw / 'vaihingen', tmp_path / 'b', '--labels', 'complete')
        assert 'images of Vaihingen without a label (complete: 1 of 3, e.g. 2); fetch the archive with' in error
        assert not (tmp_path / 'b').exists()

    def test_complete_labels_have_names_like_images(self, tmp_path):
        root = tmp_path / 'src'
        save(root / 'ISPRS_semantic_labeling_Vaihingen/top/top_mosaic_09cm_area1.tif', np.full((2, 2, 3), 77))
        label = np.full((2, 2, 3), BLUE)
        save(root / 'ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE/top_mosaic_09cm_area1.tif', label)
        run('vaihingen', root, tmp_path / 'out')
        assert read(tmp_path / 'out/img_dir/train/area1_0_0_2_2.png').tolist() == [[[77] * 3] * 2] * 2
        assert read(tmp_path / 'out/ann_dir/train/area1_0_0_2_2.png').tolist() == [[2, 2]] * 2

    def test_sizes_differ(self, tile, tmp_path):
        root = tile('2_10', [WHITE])
        save(root / '5_Labels_all/top_potsdam_2_10_label.tif', [[WHITE, WHITE]])
        error = fails('potsdam', root, tmp_path / 'out')
        assert re.search(r'2_10_RGB.tif is 1 x 1 pixels but its label .* is 2 x 1', error)

    def test_nothing_there(self, tmp_path):
        assert 'source folder' in fails('potsdam', tmp_path / 'none', tmp_path / 'out')
        assert 'found no image of Potsdam' in fails('potsdam', tmp_path, tmp_path / 'out')

    @pytest.mark.parametrize('options', [[], OPTIONS['potsdam']])
    def test_a_split_without_tiles_is_named(self, tile, tmp_path, capsys, options):
        potsdam.main([str(tile('2_10', [WHITE, RED])), str(tmp_path / 'out'), '--workers', '1', *options])
        assert 'val: none found' in capsys.readouterr().out.splitlines()
        (tmp_path / '2_Ortho_RGB').rename(tmp_path / 'first')
        (tmp_path / '5_Labels_all').rename(tmp_path / 'first_labels')
        potsdam.main([str(tile('2_13', [WHITE, BLUE])), str(tmp_path / 'out'), '--workers', '1', *options])
        out = capsys.readouterr().out
        assert 'none found' not in out
        assert 'train: 1 tiles, 1 crops' in out
        assert 'val: 1 tiles, 1 crops' in out

    def test_other_settings(self, raw, tmp_path):
        run('vaihingen', raw / 'vaihingen', tmp_path)
        error = fails('vaihingen', raw / 'vaihingen', tmp_path, '--train-stride', '8')
        assert 'was made with other settings (train_stride: 512 there, 8 now)' in error
        assert '--crop is 0; it must be at least 1' in fails('vaihingen', raw / 'vaihingen', tmp_path, '--crop', '0')


class TestLoveDA:

    def test_files_are_copied_and_listed(self, raw, tmp_path, capsys):
        files = run('loveda', raw / 'loveda', tmp_path)
        train, val = ([Path(file).stem for file in files if file.startswith(f'ann_dir/{split}')]
                      for split in ('train', 'val'))
        assert not (tmp_path / 'ann_dir/test').exists()
        original = next((raw / 'loveda/Train').glob('*/images_png/0.png'))
        assert (tmp_path / 'img_dir/train/0.png').read_bytes() == original.read_bytes()
        lists = {path.stem: path.read_text().split() for path in (tmp_path / 'lists').iterdir()}
        assert lists['trainval'] == [f'train/{name}' for name in train] + [f'val/{name}' for name in val]
        assert sorted(lists['train_urban'] + lists['train_rural']) == train
        assert '0' in lists[f'train_{original.parts[-3].lower()}']
        assert 'train: 3 images: NOT COMPLETE, the official split has 2,522 images' in capsys.readouterr().out

    def test_both_labeled_splits_as_one_data_set(self, raw, tmp_path):
        init_default_scope('mmseg')
        run('loveda', raw / 'loveda', tmp_path)
        config = Config.fromfile(CONFIGS / SERVER)
        assert len(DATASETS.build({**config.train_dataloader.dataset.sources.loveda, 'data_root': str(tmp_path)})) == 5
        assert len(DATASETS.build({**config.test_dataloader.loveda.dataset, 'data_root': str(tmp_path)})) == 1

    def test_links(self, raw, tmp_path):
        run('loveda', raw / 'loveda', tmp_path, '--link')
        assert (tmp_path / 'img_dir/train/0.png').is_symlink()
        assert read(tmp_path / 'img_dir/train/0.png').shape == (64, 64, 3)
        assert 'link: True there, False now' in fails('loveda', raw / 'loveda', tmp_path)

    @pytest.fixture
    def root(self, tmp_path):
        save(tmp_path / 'Val/Rural/images_png/2600.png', np.zeros((2, 2, 3)))
        save(tmp_path / 'Val/Rural/masks_png/2600.png', [[0, 1], [6, 7]])
        return tmp_path

    def test_parts_of_the_download_one_after_another(self, raw, tmp_path, capsys):
        """Lists and numbers are of all that the output holds, whatever the last command was given."""
        parts = tmp_path / 'parts'
        for split in ('Train', 'Val'):
            (parts / split).mkdir(parents=True)
            (parts / split / split).symlink_to(raw / 'loveda' / split)
        run('loveda', parts / 'Train', tmp_path / 'out')
        assert capsys.readouterr().out.splitlines()[:2] == ['val: none found', 'test: none found']
        run('loveda', parts / 'Val', tmp_path / 'out')
        out = capsys.readouterr().out
        assert 'train: 3 images' in out
        assert 'val: 2 images' in out
        assert 'train: none' not in out
        run('loveda', raw / 'loveda', tmp_path / 'whole')
        for path in (tmp_path / 'whole/lists').iterdir():
            expected = '' if path.name.startswith('test_') else path.read_text()
            assert (tmp_path / 'out/lists' / path.name).read_text() == expected, path.name
        (tmp_path / 'out/ann_dir/val').rename(tmp_path / 'lost')
        run('loveda', parts / 'Train', tmp_path / 'out')
        assert (tmp_path / 'out/lists/trainval.txt').read_text().count('\n') == 3
        assert 'val: none found' in capsys.readouterr().out

    def test_records_without_a_domain(self, raw, tmp_path):
        run('loveda', raw / 'loveda', tmp_path)
        lists = {path: path.read_text() for path in (tmp_path / 'lists').iterdir()}
        for record in (tmp_path / 'records').glob('*/*.json'):
            record.write_text(json.dumps({'files': json.loads(record.read_text())['files']}))
        run('loveda', raw / 'loveda', tmp_path)
        assert {path: path.read_text() for path in lists} == lists

    def test_ids(self, root, tmp_path):
        assert run('loveda', root, tmp_path / 'out') == ['ann_dir/val/2600.png', 'img_dir/val/2600.png']
        save(root / 'Val/Rural/masks_png/2600.png', [[0, 8], [9, 7]])
        assert re.search(r'masks_png/2600.png holds the ids \[8, 9\]; the official labels have 0..7',
                         fails('loveda', root, tmp_path / 'out2'))
        save(root / 'Val/Rural/masks_png/2600.png', np.zeros((2, 2, 3)))
        assert 'is not a mask of one integer channel' in fails('loveda', root, tmp_path / 'out3')

    def test_missing_and_doubled(self, root, tmp_path):
        (root / 'Val/Rural/masks_png/2600.png').rename(root / 'kept.png')
        assert '1 of 1 images have no mask in masks_png, e.g. ' in fails('loveda', root, tmp_path / 'out')
        save(root / 'Val/Urban/images_png/2600.png', np.zeros((2, 2, 3)))
        assert '1 names are in Urban and in Rural, e.g. 2600.png' in fails('loveda', root, tmp_path / 'out')
        assert 'found no image' in fails('loveda', root / 'Val/Urban/images_png', tmp_path / 'out')


class TestOpenEarthMap:

    @pytest.fixture
    def root(self, tmp_path):
        """Two regions; rio_2 is of xBD, and its image is missing."""
        root = tmp_path / 'OpenEarthMap_wo_xBD'
        for region, number in (('rio', 1), ('les_cayes', 4), ('rio', 3)):
            save(root / region / 'images' / f'{region}_{number}.tif', np.full((2, 3, 3), number))
            save(root / region / 'labels' / f'{region}_{number}.tif', [[0, 1, 8]] * 2)
        (root / 'train.txt').write_text('rio_1.tif\nrio_2.tif\n')
        (root / 'val.txt').write_text('les_cayes_4.tif\n')
        (root / 'test.txt').write_text('rio_3.tif\n')
        (root / 'xbd_files.csv').write_text('hurricane_00000000_pre_disaster.png,rio_2.tif\n')
        return root

    def test_splits_are_the_lists(self, root, tmp_path, capsys):
        assert run('openearthmap', tmp_path, tmp_path / 'out') == [
            'ann_dir/train/rio_1.tif', 'ann_dir/val/les_cayes_4.tif', 'img_dir/test/rio_3.tif',
            'img_dir/train/rio_1.tif', 'img_dir/val/les_cayes_4.tif']
        out = capsys.readouterr().out
        assert '1 listed images belong to xBD and are missing' in out
        assert 'val: 1 images: NOT COMPLETE, the official split has 384 images' in out

    def test_missing_images_are_an_error_unless_they_are_of_xbd(self, root, tmp_path):
        (root / 'xbd_files.csv').unlink()
        error = fails('openearthmap', root, tmp_path / 'out')
        assert '1 of 4 listed images are missing, or have no label: rio_2.tif; fetch the archive again' in error
        (root / 'train_wo_xBD.txt').write_text('rio_1.tif\n')
        assert len(run('openearthmap', root, tmp_path / 'out')) == 5

    def test_missing_label_and_list(self, root, tmp_path):
        (root / 'rio/labels/rio_1.tif').unlink()
        assert 'have no label: rio_1.tif' in fails('openearthmap', root, tmp_path / 'out')
        (root / 'val.txt').unlink()
        assert 'found no val.txt; they come with the archive' in fails('openearthmap', root, tmp_path / 'out')

    def test_listed_twice(self, root, tmp_path):
        (root / 'val.txt').write_text('rio_1.tif\n')
        assert 'rio_1.tif is listed twice in train.txt, val.txt, test.txt' in fails(
            'openearthmap', root, tmp_path / 'out')

    def test_ids_sizes_and_bands(self, root, tmp_path):
        label = root / 'rio/labels/rio_1.tif'
        save(label, [[0, 1, 9]] * 2)
        assert 'labels/rio_1.tif holds the ids [9]; the official labels have 0..8' in fails(
            'openearthmap', root, tmp_path / 'out')
        save(label, [[0, 1]] * 2)
        assert 'is 3 x 2 pixels but its label' in fails('openearthmap', root, tmp_path / 'out')
        with rasterio.open(root / 'rio/images/rio_1.tif', 'w', driver='GTiff', count=4, height=2, width=3,
                           dtype='uint16') as file:
            file.write(np.zeros((4, 2, 3), np.uint16))
        assert 'rio_1.tif has 4 bands of uint16; official images have three' in fails(
            'openearthmap', root, tmp_path / 'out')
        label.write_bytes(b'II*\0half')
        (root / 'rio/images/rio_1.tif').write_bytes(b'II*\0half')
        assert re.search('cannot read .*images/rio_1.tif: .*; fetch it again', fails(
            'openearthmap', root, tmp_path / 'out'))


class TestDownloads:

    def test_places(self, tmp_path):
        (tmp_path / 'a').mkdir()
        (tmp_path / 'a/plain.txt').write_text('x')
        with zipfile.ZipFile(tmp_path / 'a/b.zip', 'w') as archive:
            archive.writestr('c/inner.txt', 'y')
            archive.writestr('c/', '')
        found = dict(downloads.list_files(tmp_path))
        assert list(found) == ['a/b.zip', 'a/plain.txt', 'a/b/c/inner.txt']
        assert found['a/b/c/inner.txt'].read() == b'y'
        assert str(found['a/b/c/inner.txt']) == f'{tmp_path}/a/b.zip:c/inner.txt'
        assert found['a/plain.txt'].read() == b'x'

    def test_damaged_archive(self, tmp_path):
        (tmp_path / 'Train.zip').write_bytes(b'PK half')
        assert re.search('cannot read the archive .*Train.zip: .*; fetch it again', fails(
            'loveda', tmp_path, tmp_path / 'out'))

    def test_damaged_member(self, tmp_path):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, 'w') as archive:
            archive.writestr('a.txt', 'some content')
        (tmp_path / 'a.zip').write_bytes(buffer.getvalue().replace(b'some content', b'other content'[:12]))
        with pytest.raises(PreparationError, match='cannot read .*a.zip:a.txt: Bad CRC-32'):
            File(tmp_path / 'a.zip', 'a.txt').read()

    def test_members_that_are_too_large_are_not_unpacked(self, tmp_path, monkeypatch):
        monkeypatch.setattr(downloads, 'LARGEST_MEMBER', 10)
        with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
            archive.writestr('bomb', 'x' * 11)
        with pytest.raises(PreparationError, match='a.zip:bomb claims more than 10 bytes'):
            File(tmp_path / 'a.zip', 'bomb').read()

    def test_member_names_do_not_lead_out_of_the_output(self, tmp_path):
        """Names of the output are made of what the pattern allows, and not of the member's path."""
        with zipfile.ZipFile(tmp_path / 'Train.zip', 'w') as archive:
            for kind in ('images', 'masks'):
                buffer = io.BytesIO()
                Image.new('RGB' if kind == 'images' else 'L', (2, 2), 1).save(buffer, 'PNG')
                archive.writestr(f'../../Train/Urban/{kind}_png/1.png', buffer.getvalue())
                archive.writestr(f'Train/Urban/{kind}_png/../../2.png', buffer.getvalue())
        assert run('loveda', tmp_path, tmp_path / 'out') == ['ann_dir/train/1.png', 'img_dir/train/1.png']
        assert set(os.listdir(tmp_path)) == {'Train.zip', 'out'}


def test_words_on_numbers():
    known = {'train': Official(24, 12696), 'val': Official(17, 398, 'the usual number')}

    def words(**numbers):
        return compare({split: {'images': images, 'samples': samples} for split, (images, samples) in numbers.items()},
                       known, 'crops')
    assert words(train=(24, 12696), val=(17, 398)) == [
        'train: 24 images, 12,696 crops: as published', 'val: 17 images, 398 crops: the usual number']
    assert words(train=(24, 12000)) == [
        'val: none found',
        'train: 24 images, 12,000 crops: this DIFFERS from the published 24 images, 12,696 crops']
    assert words(train=(23, 1)) == [
        'val: none found',
        'train: 23 images, 1 crops: NOT COMPLETE, the official split has 24 images, 12,696 crops']
    assert words(val=(18, 1)) == [
        'train: none found', 'val: 18 images, 1 crops: MORE, the official split has 17 images, 398 crops']


@pytest.mark.parametrize('name', list(COMMANDS))
def test_help_as_a_script(name, tmp_path):
    command = [sys.executable, COMMANDS[name].__file__, '--help']
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert 'OUT/img_dir/{train,val' in out
    assert '--workers' in out


def test_settings_are_kept(raw, tmp_path):
    run('vaihingen', raw / 'vaihingen', tmp_path)
    assert json.loads((tmp_path / 'vaihingen_settings.json').read_text()) == {
        'labels': 'eroded', 'crop': 32, 'train_stride': 512, 'val_stride': 512, 'nearest_color': False}

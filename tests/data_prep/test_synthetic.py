"""Procedural scenes: reproducible, in the genuine layout, with every class, and honest about what a pool holds."""
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from mmrotate.datasets import DIORDataset, DOTAv2Dataset
from mmseg.datasets import iSAIDDataset

from data_prep import isprs, synthetic
from data_prep.example_scenes import degrade, layout, off_domain
from data_prep.example_scenes.classes import CLASS_ID, OBJECTS, SCENE_CLASSES
from data_prep.example_scenes.geometry import Rect, box, place
from data_prep.example_scenes.render import Box, Picture, render
from data_prep.example_scenes.sampling import Source
from data_prep.example_scenes.scene import Scene, Shape
from data_prep.example_scenes.styles import STYLES, Style, parse_colors
from data_prep.example_scenes.view import View, draw_view
from data_prep.example_scenes.writers import FORMATS, dior_r, dota, loveda, openearthmap
from data_prep.example_scenes.writers import isprs as isprs_writer
from data_prep.example_scenes.writers.base import id_table
from data_prep.example_scenes.writers.isaid import ISAID_COLORS, instance_colors
from data_prep.example_scenes.writers.objects import class_names, labeled_boxes
from s5_mm.datasets.rotated_files import read_dior_xml, read_dota_text

SCRIPT = Path(synthetic.__file__)
ISAID = ['isaid', '--train', '3', '--val', '2', '--size', '64']
BENCHMARKS = {
    'potsdam': ['potsdam', '--train', '2', '--val', '1', '--size', '64', '--coarser', '8'],
    'vaihingen': ['vaihingen', '--train', '2', '--val', '1', '--size', '64', '--coarser', '8'],
    'loveda': ['loveda', '--train', '4', '--val', '2', '--test', '2', '--size', '64'],
    'openearthmap': ['openearthmap', '--train', '2', '--val', '1', '--size', '64', '--styles', 'arid,dusk'],
    'dior_r': ['dior_r', '--train', '3', '--val', '2', '--test', '2', '--size', '64'],
    'dota': ['dota', '--train', '3', '--val', '2', '--test', '2', '--size', '64'],
}
POOL = ['unlabeled', '--num', '12', '--size', '64', '--degraded', '0.25', '--off-domain', '0.5']


def run(out, command, *more):
    """Runs the command in this process and returns {relative path: bytes} of what is there afterwards."""
    assert synthetic.main([command[0], str(out), *command[1:], *more]) == 0
    return contents(out)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


def fails(capsys, *argv):
    with pytest.raises(SystemExit) as stop:
        synthetic.main([str(word) for word in argv])
    assert stop.value.code == 2
    return capsys.readouterr().err


def read(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope='module')
def pictures():
    """Forty small pictures of all styles and themes."""
    source = Source(0, 'train', 160, tuple(STYLES))
    return [source.picture(number) for number in range(40)]


def test_isaid_layout_and_colors(tmp_path):
    files = run(tmp_path / 'd', ISAID)
    expected = {f'{split}/images/P{number:04d}{suffix}.png' for split, count in (('train', 3), ('val', 2))
                for number in range(count) for suffix in ('', '_instance_color_RGB', '_instance_id_RGB')}
    assert set(files) == expected | {'synthetic.json'}
    allowed = {(0, 0, 0), *ISAID_COLORS.values()}
    for image in (tmp_path / 'd').rglob('P????.png'):
        semantic = read(image.with_name(f'{image.stem}_instance_color_RGB.png'))
        instance = read(image.with_name(f'{image.stem}_instance_id_RGB.png'))
        assert read(image).shape == semantic.shape == instance.shape == (64, 64, 3)
        assert {tuple(color) for color in semantic.reshape(-1, 3).tolist()} <= allowed
        assert ((semantic > 0).any(2) == (instance > 0).any(2)).all()
        for color in np.unique(instance.reshape(-1, 3), axis=0):
            assert len(np.unique(semantic[(instance == color).all(2)], axis=0)) == 1


def test_palette_is_that_of_the_benchmark():
    published = dict(zip((name.lower() for name in iSAIDDataset.METAINFO['classes']),
                         map(tuple, iSAIDDataset.METAINFO['palette']), strict=True))
    other_names = {'storage_tank': 'store_tank', 'soccer_field': 'soccer_ball_field'}
    assert published.pop('background') == (0, 0, 0)
    assert {other_names.get(name, name): color for name, color in ISAID_COLORS.items()} == published
    assert set(ISAID_COLORS) == set(OBJECTS)


def test_instance_colors_are_distinct():
    colors = instance_colors(3000)
    assert colors[0].tolist() == [0, 0, 0]
    assert len(np.unique(colors, axis=0)) == 3001
    with pytest.raises(ValueError, match='132651 objects in one image; instance masks have room for 132650'):
        instance_colors(51**3)


@pytest.mark.parametrize('command', [ISAID, POOL, *BENCHMARKS.values()], ids=lambda command: command[0])
def test_same_seed_same_bytes_whatever_the_workers(tmp_path, command):
    alone = run(tmp_path / 'a', command, '--seed', '5')
    assert run(tmp_path / 'b', command, '--seed', '5', '--workers', '2') == alone
    other = run(tmp_path / 'c', command, '--seed', '6')
    images = ('P0000.png', '.jpg', '2_10_RGB.tif', 'top/top_mosaic_09cm_area1.tif', 'images_png/0.png', '_1.tif',
              'images/P0001.png')
    assert all(other[name] != alone[name] for name in alone if name.endswith(images) and name in other)


def colors_of(path):
    return {tuple(color) for color in np.unique(read(path).reshape(-1, 3), axis=0).tolist()}


def test_potsdam_layout(tmp_path):
    files = run(tmp_path / 'd', BENCHMARKS['potsdam'])
    expected = {name for tile in ('2_10', '2_11', '2_13') for name in (
        f'2_Ortho_RGB/top_potsdam_{tile}_RGB.tif', f'5_Labels_all/top_potsdam_{tile}_label.tif')}
    assert set(files) == expected | {'synthetic.json'}
    for label in (tmp_path / 'd/5_Labels_all').iterdir():
        assert colors_of(label) <= set(isprs.COLORS[1:])
        assert read(label).shape == (64, 64, 3)
    with rasterio.open(tmp_path / 'd/2_Ortho_RGB/top_potsdam_2_10_RGB.tif') as image:
        assert (image.count, image.dtypes[0], image.crs.to_string()) == (3, 'uint8', 'EPSG:32633')
        assert image.res == pytest.approx((0.4, 0.4))  # 8 times 5 cm


def test_vaihingen_layout(tmp_path):
    files, root = run(tmp_path / 'd', BENCHMARKS['vaihingen']), 'ISPRS_semantic_labeling_Vaihingen'
    images = {f'{root}/top/top_mosaic_09cm_area{tile}.tif' for tile in (1, 2, 3)}
    complete = {f'{root}/gts_for_participants/top_mosaic_09cm_area{tile}.tif' for tile in (1, 3)}
    eroded = {f'{root}_ground_truth_eroded_COMPLETE/top_mosaic_09cm_area{tile}_noBoundary.tif' for tile in (1, 2, 3)}
    assert set(files) == images | complete | eroded | {'synthetic.json'}
    whole = read(tmp_path / 'd' / root / 'gts_for_participants/top_mosaic_09cm_area1.tif')
    cut = read(tmp_path / 'd' / f'{root}_ground_truth_eroded_COMPLETE/top_mosaic_09cm_area1_noBoundary.tif')
    black = (cut == 0).all(2)
    assert 0 < black.mean() < 1
    assert (whole[~black] == cut[~black]).all()
    assert not (whole == 0).all(2).any()


def test_vaihingen_shows_near_infrared_as_red(tmp_path):
    """Vegetation is brightest in the first channel, other things are not."""
    source = Source(0, 'train', 96, FORMATS['vaihingen'].styles, coarser=8, gsd=FORMATS['vaihingen'].gsd)
    pictures = [source.picture(number) for number in range(4)]
    image = np.concatenate([picture.image.reshape(-1, 3) for picture in pictures]).astype(int)
    classes = np.concatenate([picture.classes.ravel() for picture in pictures])
    excess = image[:, 0] - image[:, 1:].max(1)
    green = np.isin(classes, [CLASS_ID[name] for name in ('tree', 'low_vegetation')])
    assert excess[green].mean() > 40
    assert excess[classes == CLASS_ID['road']].mean() < 20


def test_boundaries_are_eroded_by_three_pixels():
    ids = np.repeat(np.array([[1] * 8 + [4] * 8], np.uint8), 9, 0)
    assert isprs_writer.without_boundaries(ids)[4].tolist() == [1] * 5 + [0] * 6 + [4] * 5


def test_loveda_layout(tmp_path):
    files = run(tmp_path / 'd', BENCHMARKS['loveda'])
    found = {split: sorted(int(Path(name).stem) for name in files if name.startswith(split) and 'images_png' in name)
             for split in ('Train', 'Val', 'Test')}
    assert found == {'Train': [0, 1, 2, 3], 'Val': [2522, 2523], 'Test': [4191, 4192]}
    masks = [name for name in files if 'masks_png' in name]
    assert len(masks) == 6
    assert all(name.replace('masks_png', 'images_png') in files for name in masks)
    assert {name.split('/')[1] for name in masks} == {'Urban', 'Rural'}
    ids = np.concatenate([cv2.imread(str(tmp_path / 'd' / name), cv2.IMREAD_UNCHANGED).ravel() for name in masks])
    assert set(ids.tolist()) <= set(range(1, 8))
    assert ids.shape == (6 * 64 * 64, )


def test_openearthmap_layout(tmp_path):
    files = run(tmp_path / 'd', BENCHMARKS['openearthmap'])
    lists = {split: files[f'{split}.txt'].decode().split() for split in ('train', 'val')}
    assert sorted(number for names in lists.values() for number in (name.split('_')[1] for name in names)) == [
        '1.tif', '2.tif', '3.tif']
    named = {f'{name.split("_")[0]}/{kind}/{name}' for names in lists.values() for name in names
             for kind in ('images', 'labels')}
    assert set(files) == named | {'train.txt', 'val.txt', 'synthetic.json'}
    for name in named:
        with rasterio.open(tmp_path / 'd' / name) as file:
            assert file.count == (3 if '/images/' in name else 1)
            assert 0.25 <= file.res[0] <= 0.5
            assert set(np.unique(file.read()).tolist()) <= set(range(1, 9)) or '/images/' in name


def test_dior_r_layout(tmp_path):
    files = run(tmp_path / 'd', BENCHMARKS['dior_r'])
    lists = {split: files[f'ImageSets/Main/{split}.txt'].decode().split() for split in ('train', 'val', 'test')}
    assert lists == {'train': ['00001', '00003', '00005'], 'val': ['00002', '00004'], 'test': ['11726', '11727']}
    images = {f'JPEGImages-{"test" if split == "test" else "trainval"}/{name}.jpg'
              for split, names in lists.items() for name in names}
    labels = {f'{dior_r.LABELS}/{Path(image).stem}.xml' for image in images}
    assert set(files) == images | labels | {f'ImageSets/Main/{split}.txt' for split in lists} | {'synthetic.json'}
    for label in labels:
        size, objects = read_dior_xml(str(tmp_path / 'd' / label))
        assert size == (64, 64)
        assert {found.name for found in objects} <= set(DIORDataset.METAINFO['classes'])
        assert all(corner == int(corner) for found in objects for corner in found.polygon)


def test_dota_layout(tmp_path):
    files = run(tmp_path / 'd', BENCHMARKS['dota'])
    images = {f'train/images/P{3 * n:04d}.png' for n in range(3)} | {f'val/images/P{3 * n + 1:04d}.png' for n in (0, 1)}
    labels = {image.replace('images', 'labelTxt').replace('.png', '.txt') for image in images}
    assert set(files) == images | labels | {'test/images/P0002.png', 'test/images/P0005.png', 'synthetic.json'}
    objects = [found for label in labels for found in read_dota_text(str(tmp_path / 'd' / label))]
    assert objects
    assert {found.difficulty for found in objects} <= {0, 1}
    assert files[min(labels)].startswith(b'imagesource:synthetic\ngsd:0.')


def test_classes_of_rotated_formats_are_those_of_the_benchmarks():
    known = {name: set(kind.METAINFO['classes']) for name, kind in (('dior_r', DIORDataset), ('dota', DOTAv2Dataset))}
    assert set(dior_r.NAMES.values()) < known['dior_r']
    assert known['dota'] - set(dota.NAMES.values()) == {'container-crane', 'airport', 'helipad'}
    assert set(dota.NAMES) == set(OBJECTS)
    with pytest.raises(ValueError, match="unknown class 'zeppelin'; known: ship, "):
        class_names({'airship': 'zeppelin'}, OBJECTS)


def test_boxes_enclose_what_the_image_shows():
    """A ship of 20 x 8 px inside, one of which 16 of 40 px are inside, one that shows half a pixel, and a pier."""
    boxes = [Box('ship', box(20, 8, 30, 30), 1), Box('ship', box(40, 10, -4, 30), 2),
             Box('ship', box(10, 10, 68.5, 30), 3), Box('harbor', box(10, 10, 30, 30), 4)]
    picture = Picture(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64)), np.zeros((64, 64)), boxes, 0.5)
    whole, cut = labeled_boxes(picture, {'ship': 'boat'})
    assert (whole.name, whole.truncated, whole.difficult) == ('boat', False, False)
    assert whole.corners.tolist() == box(20, 8, 30, 30).tolist()
    assert (cut.truncated, cut.difficult) == (True, True)
    assert sorted(cut.corners.round(3).tolist()) == [[0, 25], [0, 35], [16, 25], [16, 35]]


@pytest.mark.parametrize(('name', 'table'), [
    ('potsdam', isprs_writer.IDS), ('loveda', loveda.IDS), ('openearthmap', openearthmap.IDS)])
def test_every_class_of_a_benchmark_is_drawn(name, table):
    own = FORMATS[name]
    source = Source(0, 'train', 128, own.styles, coarser=8, gsd=own.gsd, salt=own.salt, themes=own.themes)
    seen = np.unique(np.concatenate([np.unique(table[source.picture(number).classes]) for number in range(8)]))
    assert seen.tolist() == list(range(1, table.max() + 1))


def test_a_table_misses_no_class():
    assert isprs_writer.IDS[[CLASS_ID['road'], CLASS_ID['small_vehicle'], CLASS_ID['water']]].tolist() == [1, 5, 6]
    with pytest.raises(ValueError, match='each scene class must occur once'):
        id_table({1: 'road building'})


def test_formats_share_no_scene():
    salts = [layout.salt for layout in FORMATS.values()]
    assert len(set(salts)) == len(salts)
    one, other = (Source(0, 'train', 64, ('arid',), salt=salt).picture(0).classes for salt in (1, 2))
    assert (one != other).any()


@pytest.mark.parametrize(('name', 'split', 'most'), [('potsdam', 'train', 24), ('vaihingen', 'val', 17)])
def test_tiles_of_the_benchmark_are_all_there_are(tmp_path, capsys, name, split, most):
    error = fails(capsys, name, tmp_path / 'd', f'--{split}', most + 1)
    assert f'--{split} {most + 1} is too large; ' in error
    assert f'has {most} tiles there: make them larger with --size' in error


def test_train_and_val_differ(tmp_path):
    files = run(tmp_path / 'd', ISAID)
    assert files['train/images/P0000.png'] != files['val/images/P0000.png']


def test_every_class_turns_up_often_enough(pictures):
    """Of 40 pictures of 160 px, below the usual 256 px, at least 4 show a given class."""
    shown = np.zeros(len(SCENE_CLASSES), int)
    for picture in pictures:
        shown[np.unique(picture.classes)] += 1
    assert {name: int(shown[CLASS_ID[name]]) for name in SCENE_CLASSES if shown[CLASS_ID[name]] < 4} == {}


def test_boxes_enclose_their_pixels(pictures):
    """Pixels of an object, in the axes of its box, stay within it but for a pixel and a half of drawing."""
    seen = 0
    for picture in pictures:
        for found in picture.boxes:
            rows, columns = np.nonzero(picture.instances == found.instance)
            along, across = found.corners[1] - found.corners[0], found.corners[3] - found.corners[0]
            offset = np.stack([columns + 0.5, rows + 0.5], 1) - found.corners[0]
            for axis in (along, across):
                length = np.linalg.norm(axis)
                reach = offset @ axis / length
                assert reach.min() > -1.5
                assert reach.max() < length + 1.5
            assert (picture.classes[rows, columns] == CLASS_ID[found.name]).all()
            seen += 1
    assert seen > 500


def test_boxes_are_right_angled(pictures):
    for found in pictures[0].boxes:
        first, second = found.corners[1] - found.corners[0], found.corners[2] - found.corners[1]
        assert first @ second == pytest.approx(0, abs=1e-6 * (first @ first + second @ second))
        assert first[0] * second[1] - first[1] * second[0] > 0  # clockwise in image coordinates


def test_render_puts_a_square_where_it_is():
    """A roof of 9.5 x 9.5 m in the middle of 40 m at 1 m a pixel touches 10 x 10 pixels, from 15 to 24."""
    plain = Style('plain', palette={'grass': '000000', 'roof': 'ffffff'}, haze=(0, 0), noise=(0, 0), stripes=(0, 0),
                  texture=0.0)
    ground = Shape(box(60, 60), 'grass', label=CLASS_ID['low_vegetation'])
    roof = Shape(box(9.5, 9.5), 'roof', label=CLASS_ID['building'])
    picture = render(np.random.default_rng(0), Scene([ground, roof]), plain, View(40, 1.0, 0.0))
    rows, columns = np.nonzero(picture.classes == CLASS_ID['building'])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (15, 24, 15, 24)
    assert picture.image[20, 20].min() > 200
    assert picture.image[5, 5].max() < 30


def test_only_wanted_classes_are_placed(tmp_path):
    run(tmp_path / 'd', ISAID, '--classes', 'ship,small_vehicle')
    allowed = {(0, 0, 0), ISAID_COLORS['ship'], ISAID_COLORS['small_vehicle']}
    for path in (tmp_path / 'd').rglob('*_color_RGB.png'):
        assert {tuple(color) for color in read(path).reshape(-1, 3).tolist()} <= allowed


def test_styles_change_the_look_but_not_the_scene():
    """The same scene, seen from the same place: equal truth, different pictures."""
    scene = layout.build_scene(np.random.default_rng(3), 64.0, 'suburb')
    styles, view = (STYLES['temperate'], STYLES['winter']), View(128, 0.5, 0.3)
    summer, winter = (render(np.random.default_rng(1), scene, style, view) for style in styles)
    assert (summer.classes == winter.classes).all()
    assert np.abs(summer.image.astype(int) - winter.image).mean() > 20


@pytest.mark.parametrize('name', list(STYLES))
def test_every_style_has_every_material(name):
    assert STYLES[name].palette.keys() == STYLES['temperate'].palette.keys()
    assert all(len(parse_colors(colors)) >= 2 for colors in STYLES[name].palette.values())


@pytest.mark.parametrize('theme', list(layout.THEMES))
def test_themes_name_known_parcels(theme):
    plan = layout.THEMES[theme]
    assert set(f'{plan.features} {plan.filler}'.split()) <= set(layout.PARCELS)


def test_second_run_makes_only_what_is_missing(tmp_path, capsys):
    out = tmp_path / 'd'
    first = run(out, ISAID)
    kept, lost = out / 'train/images/P0001.png', out / 'val/images/P0001.png'
    before = kept.stat().st_mtime_ns
    lost.unlink()
    capsys.readouterr()
    assert run(out, ISAID, '--workers', '2') == first
    assert kept.stat().st_mtime_ns == before
    assert f'{out}: 1 new images' in capsys.readouterr().out


def test_other_settings_are_refused(tmp_path, capsys):
    out = tmp_path / 'd'
    first = run(out, ISAID)
    error = fails(capsys, 'isaid', out, *ISAID[1:], '--seed', 7)
    assert re.search(r'was made with other settings \(seed: 0 there, 7 now\); repeat these .* another folder', error)
    assert 'format' in fails(capsys, 'unlabeled', out, '--num', 3)
    assert contents(out) == first
    assert json.loads(first['synthetic.json'])['size'] == 64


def test_temporary_files_of_killed_runs_are_removed_and_those_of_others_are_kept(tmp_path):
    out = tmp_path / 'd'
    old, new = out / '.synthetic.json.12.part', out / 'train/images/.P0000.png.13.part'
    for part in (old, new):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b'half')
    os.utime(old, (0, 0))
    shutil.move(out / 'train', tmp_path)
    run(out, ISAID)
    assert not old.exists()
    shutil.move(tmp_path / 'train/images' / new.name, new)
    run(out, ISAID)
    assert new.exists()


def test_foreign_folder_is_refused(tmp_path, capsys):
    (tmp_path / 'thesis.txt').write_text('mine')
    error = fails(capsys, 'isaid', tmp_path, *ISAID[1:])
    assert 'has no synthetic.json, so it was not made by this command; choose another folder' in error
    assert contents(tmp_path) == {'thesis.txt': b'mine'}


@pytest.mark.parametrize(('option', 'message'), [
    (('--styles', 'temperate,martian'), "unknown style 'martian'; known: temperate, arid, "),
    (('--classes', 'ship,zeppelin'), "unknown class 'zeppelin'; known: ship, storage_tank, "),
    (('--styles', 'arid,arid'), "give each style once and at least one; got ['arid', 'arid'], known: temperate, "),
    (('--size', '8'), '--size 8 is too small; the minimum is 32'),
    (('--workers', '0'), '--workers 0 is too small; the minimum is 1'),
])
def test_wrong_options(tmp_path, capsys, option, message):
    assert message in fails(capsys, 'isaid', tmp_path / 'd', *option)
    assert not (tmp_path / 'd').exists()


def test_pool_shares_are_exact(tmp_path):
    files = run(tmp_path / 'd', POOL, '--styles', 'arid,dusk')
    rows = list(csv.DictReader(files['pool.csv'].decode().splitlines()))
    kinds = [row['kind'] for row in rows]
    assert (kinds.count('clean'), kinds.count('degraded'), kinds.count('off_domain')) == (3, 3, 6)
    assert {row['path'] for row in rows} == {name for name in files if name.endswith('.jpg')}
    assert len({row['path'].split('/')[0] for row in rows}) == 4
    assert {row['style'] for row in rows if row['kind'] != 'off_domain'} <= {'arid', 'dusk'}
    assert {row['style'] for row in rows if row['kind'] == 'off_domain'} == {''}
    assert {row['detail'] for row in rows if row['kind'] == 'off_domain'} == set(off_domain.OFF_DOMAIN)
    assert {row['detail'] for row in rows if row['kind'] == 'degraded'} <= set(degrade.DEGRADATIONS)
    assert read(tmp_path / 'd' / rows[0]['path']).shape == (64, 64, 3)


def test_pool_shares_beyond_one(tmp_path, capsys):
    error = fails(capsys, 'unlabeled', tmp_path / 'd', '--degraded', 0.7, '--off-domain', 0.6)
    assert 'the shares degraded=0.7 and off-domain=0.6 must lie in [0, 1] and add up to at most 1' in error


@pytest.mark.parametrize('name', list(degrade.DEGRADATIONS))
def test_degradations_spoil_the_picture(name, pictures):
    image = pictures[0].image
    spoilt = degrade.DEGRADATIONS[name](np.random.default_rng(0), image)
    assert (spoilt.shape, spoilt.dtype) == (image.shape, np.uint8)
    assert np.abs(spoilt.astype(int) - image).mean() > 8


@pytest.mark.parametrize('name', list(off_domain.OFF_DOMAIN))
def test_off_domain_pictures_vary(name):
    first, second = (off_domain.OFF_DOMAIN[name](np.random.default_rng(seed), 64) for seed in (0, 1))
    assert (first.shape, first.dtype) == ((64, 64, 3), np.uint8)
    assert np.abs(first.astype(int) - second).mean() > 5


def test_geometry():
    left, right = Rect(0, 0, 10, 4).split(True, 6, 2)
    assert (left, right) == (Rect(0, 0, 5, 4), Rect(7, 0, 10, 4))
    assert len(Rect(0, 0, 10, 4).cells(5, 2)) == 4
    assert place(np.array([(1.0, 0.0)]), 5, 6, np.pi / 2) == pytest.approx(np.array([(5.0, 7.0)]))


def test_unknown_theme():
    with pytest.raises(ValueError, match="unknown theme 'moon'; known: port, marina"):
        layout.build_scene(np.random.default_rng(0), 64.0, 'moon')


def test_runs_as_a_script_from_anywhere(tmp_path):
    command = [sys.executable, str(SCRIPT), 'isaid', 'd', '--train', '1', '--val', '0', '--size', '32']
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'd/train/images/P0000.png').is_file()
    text = subprocess.run([*command[:2], 'isaid', '--help'], capture_output=True, text=True, check=True).stdout
    assert all(word in text for word in ('--styles', '--classes', '--seed', '--workers', '--train', 'temperate'))


def test_coarser_pictures_show_a_wider_piece_of_land():
    fine, coarse = (draw_view(np.random.default_rng(0), STYLES['arid'], 96, factor) for factor in (1.0, 2.0))
    assert coarse.gsd == 2 * fine.gsd
    assert coarse.angle == fine.angle
    near, wide = (Source(1, 'train', 96, ('arid',), coarser=factor).picture(0) for factor in (1.0, 2.0))
    assert wide.instances.max() > near.instances.max()

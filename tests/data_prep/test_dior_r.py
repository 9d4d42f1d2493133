"""Preparation of DIOR-R: from the official layout to what the dataset reads."""
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image

from data_prep import dior_r, preparing, synthetic
from s5_mm.registry import DATASETS

CONFIG = Path(__file__).parents[2] / 'configs/_base_/datasets/dior_r_dota_synthetic.py'
LABELS = 'Annotations/Oriented Bounding Boxes'


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
    """A synthetic download, which no test may change: 3 + 2 + 2 images."""
    root = tmp_path_factory.mktemp('raw') / 'dior_r'
    assert synthetic.main(['dior_r', str(root), '--train', '3', '--val', '2', '--test', '2', '--size', '128']) == 0
    return root


@pytest.fixture
def changed(raw, tmp_path):
    """A download that a test may spoil."""
    shutil.copytree(raw, tmp_path / 'raw')
    return tmp_path / 'raw'


def run(source, out, *more):
    dior_r.main([str(source), str(out), '--workers', '1', *more])
    kinds = ('.jpg', '.xml', '.txt')
    return sorted(path.relative_to(out).as_posix() for path in out.rglob('*') if path.suffix in kinds)


def fails(source, out, *more):
    with pytest.raises(SystemExit) as caught:
        run(source, out, *more)
    return str(caught.value)


def test_official_layout_stays(raw, tmp_path, capsys):
    files = run(raw, tmp_path / 'out')
    assert files == sorted([*(path.relative_to(raw).as_posix() for path in raw.rglob('*.*') if path.suffix != '.json'),
                            'ImageSets/Main/trainval.txt'])
    same = [file for file in files if not file.startswith('ImageSets')]
    assert all((tmp_path / 'out' / file).read_bytes() == (raw / file).read_bytes() for file in same)
    trainval = (tmp_path / 'out/ImageSets/Main/trainval.txt').read_text().split()
    assert trainval == ['00001', '00002', '00003', '00004', '00005']
    told = capsys.readouterr().out
    assert 'train: 3 images: NOT COMPLETE, the official split has 5,862 images' in told
    assert 'test: 2 images: NOT COMPLETE, the official split has 11,738 images' in told
    objects = sum(path.read_text().count('<object>') for path in raw.rglob('*.xml'))
    assert re.search(rf'^{objects:,} objects of \d+ classes$', told, re.MULTILINE)


def test_official_numbers(tmp_path):
    records = {('train', str(number)): {'files': ['JPEGImages-trainval/1.jpg', f'{LABELS}/1.xml']}
               for number in range(5862)}
    assert preparing.compare(preparing.count(records, samples='^JPEGImages-'), dior_r.PUBLISHED, 'images') == [
        'val: none found', 'test: none found', 'train: 5,862 images: as published']


def test_data_set_of_the_config_reads_it(raw, tmp_path):
    run(raw, tmp_path / 'out', '--link')
    config = Config.fromfile(CONFIG)
    for settings, count in ((config.detection_sources.dior, 5), (config.detection_loaders.dior.dataset, 2)):
        dataset = DATASETS.build({**settings, 'data_root': str(tmp_path / 'out')})
        assert len(dataset) == count
        assert dataset[0]['inputs'].shape == (3, 128, 128)
        assert len(dataset[0]['data_samples'].gt_instances) > 0
    assert (tmp_path / 'out/JPEGImages-test/11726.jpg').is_symlink()


def test_archives_as_they_are_downloaded(raw, tmp_path):
    """The archives of the download hold a folder of their name, once more below a folder of it."""
    source = tmp_path / 'zips'
    source.mkdir()
    for name in ('JPEGImages-trainval', 'JPEGImages-test', 'Annotations', 'ImageSets'):
        with zipfile.ZipFile(source / f'{name}.zip', 'w') as archive:
            for path in sorted((raw / name).rglob('*.*')):
                archive.write(path, f'{name}/{path.relative_to(raw)}')
    assert run(source, tmp_path / 'out') == run(raw, tmp_path / 'plain')


def test_second_run_makes_only_what_is_missing(raw, tmp_path):
    out = tmp_path / 'out'
    first = run(raw, out)
    kept, lost = out / 'JPEGImages-trainval/00001.jpg', out / LABELS / '00002.xml'
    before = kept.stat().st_mtime_ns
    lost.unlink()
    assert run(raw, out, '--workers', '2') == first
    assert kept.stat().st_mtime_ns == before


def test_part_of_a_download(changed, tmp_path, capsys):
    shutil.rmtree(changed / 'JPEGImages-test')
    run(changed, tmp_path / 'out')
    told = capsys.readouterr().out
    assert 'test: none found' in told
    assert 'val: 2 images' in told


def test_unknown_classes_are_counted(changed, tmp_path, capsys):
    path = changed / LABELS / '00001.xml'
    found = path.read_text().count('<object>')
    path.write_text(re.sub(r'<name>\w+</name>', '<name>Zeppelin</name>', path.read_text()))
    run(changed, tmp_path / 'out')
    told = f"{found} objects of unknown classes, which training leaves out: 'zeppelin' ({found})"
    assert told in capsys.readouterr().out


def drop_image(raw):
    (raw / 'JPEGImages-trainval/00003.jpg').unlink()


def drop_label(raw):
    (raw / LABELS / '11727.xml').unlink()


def damage_image(raw):
    path = raw / 'JPEGImages-trainval/00003.jpg'
    path.write_bytes(path.read_bytes()[:2000])


def damage_label(raw):
    (raw / LABELS / '00003.xml').write_text('<annotation>\n<object>\n<name>ship</name></object></annotation>')


def shrink_image(raw):
    Image.new('RGB', (100, 128)).save(raw / 'JPEGImages-trainval/00003.jpg')


def list_twice(raw):
    (raw / 'ImageSets/Main/val.txt').write_text('00001\r\n00002\r\n')


def drop_lists(raw):
    shutil.rmtree(raw / 'ImageSets')


def drop_images(raw):
    for part in ('trainval', 'test'):
        shutil.rmtree(raw / f'JPEGImages-{part}')


@pytest.mark.parametrize(('spoil', 'message'), [
    (drop_image, '1 of 3 images of train have no image, e.g. 00003; fetch the archive again'),
    (drop_label, '1 of 2 images of test have no label in Oriented Bounding Boxes, e.g. 11727'),
    (damage_image, '00003.jpg'),
    (damage_label, "00003.xml, line 2: object 'ship' has no <robndbox>"),
    (shrink_image, '00003.jpg is 100 x 128 pixels but its label'),
    (list_twice, '1 names are listed twice in ImageSets/Main, e.g. 00001'),
    (drop_lists, 'found no list ImageSets/Main/train.txt ...; --help shows the layout'),
    (drop_images, 'found no image JPEGImages-trainval/00001.jpg ...; --help'),
])
def test_what_is_wrong_is_named(changed, tmp_path, spoil, message):
    spoil(changed)
    assert message in fails(changed, tmp_path / 'out')
    assert not list((tmp_path / 'out').rglob('*.part'))


def test_images_done_before_an_error_are_kept(changed, tmp_path):
    damage_label(changed)
    fails(changed, tmp_path / 'out')
    record = json.loads((tmp_path / 'out/records/train/00001.json').read_text())
    assert record['files'] == ['JPEGImages-trainval/00001.jpg', f'{LABELS}/00001.xml']

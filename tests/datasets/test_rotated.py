"""Datasets of rotated boxes: what the files say, what training leaves out, what the configs' pipelines make of it."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmrotate.datasets import DIORDataset, DOTADataset, DOTAv2Dataset, DOTAv15Dataset
from mmrotate.structures import QuadriBoxes, RotatedBoxes
from PIL import Image

from s5_mm.datasets.rotated import short_sides
from s5_mm.datasets.rotated_files import LabelError, read_dior_xml, read_dota_text
from s5_mm.registry import DATASETS

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/datasets'
SQUARE = '10 10 30 10 30 30 10 30'
OBJECT = """
  <object><name>{name}</name><difficult>{difficult}</difficult><robndbox>
    <x_left_top>{0}</x_left_top><y_left_top>{1}</y_left_top><x_right_top>{2}</x_right_top><y_right_top>{3}</y_right_top>
    <x_right_bottom>{4}</x_right_bottom><y_right_bottom>{5}</y_right_bottom>
    <x_left_bottom>{6}</x_left_bottom><y_left_bottom>{7}</y_left_bottom>
  </robndbox></object>"""


def write(path, text, newline=''):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, newline=newline)
    return str(path)


def save_image(path, width=64, height=48):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(path)


def xml(*objects, size='<size><width>64</width><height>48</height><depth>3</depth></size>'):
    """An annotation with objects (name, polygon as text) or (name, polygon, difficult)."""
    texts = [OBJECT.format(*polygon.split(), name=name, difficult=(*rest, 0)[0]) for name, polygon, *rest in objects]
    return f'<?xml version="1.0"?>\n<annotation>{size}{"".join(texts)}\n</annotation>'


@pytest.fixture
def dior(tmp_path):
    """A folder of DIOR-R with three images: two objects, one unknown object, none."""
    labels = tmp_path / 'Annotations/Oriented Bounding Boxes'
    known = [('Airplane', SQUARE), ('ship', '5 5 6 5 6 40 5 40')]
    for number, objects in enumerate([known, [('zeppelin', SQUARE)], []]):
        write(labels / f'{number:05d}.xml', xml(*objects))
        save_image(tmp_path / f'JPEGImages-trainval/{number:05d}.jpg')
    write(tmp_path / 'ImageSets/Main/trainval.txt', '00000\r\n00001\r\n00002\r\n')
    return tmp_path


@pytest.fixture
def dota(tmp_path):
    """A folder of DOTA with three images: an easy, a difficult and a truncated object, only the latter, none."""
    truncated = '40 40 60 40 60 45 40 45 plane 2\n'
    for name, text in {'P2': '', 'P0': f'{SQUARE} plane 0\n{SQUARE} ship 1\n{truncated}', 'P1': truncated}.items():
        write(tmp_path / f'labelTxt/{name}.txt', text)
        save_image(tmp_path / f'images/{name}.png')
    return tmp_path


def dior_dataset(root, **options):
    return DATASETS.build(dict(type='s5_mm.DIORRDataset', data_root=str(root), ann_file='ImageSets/Main/trainval.txt',
                               data_prefix=dict(img_path='JPEGImages-trainval'), **options))


def dota_dataset(root, **options):
    return DATASETS.build({**dict(type='s5_mm.S5DOTADataset', data_root=str(root), ann_file='labelTxt',
                                  data_prefix=dict(img_path='images')), **options})


def flags(dataset):
    return [[instance['ignore_flag'] for instance in dataset.get_data_info(i)['instances']]
            for i in range(len(dataset))]


@pytest.mark.parametrize('newline', ['\n', '\r\n', '\r'])
def test_dota_text_with_headers_of_any_system(tmp_path, newline):
    lines = ['\ufeffimagesource:GoogleEarth', 'gsd:0.2556', '1054 -28.5 1063 1011 1111 1040 1112 1062 ship 1', '',
             '1 2 3 4 5 6 7 8 small-vehicle', '']
    assert read_dota_text(write(tmp_path / 'P.txt', newline.join(lines))) == [
        ((1054.0, -28.5, 1063.0, 1011.0, 1111.0, 1040.0, 1112.0, 1062.0), 'ship', 1),
        ((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0), 'small-vehicle', 0)]


@pytest.mark.parametrize(('line', 'reason'), [
    ('1 2 3 4 5 6 7 ship 0', "the coordinate is 'ship'; it must be a finite number"),
    ('1 2 3 4 5 6 7 8', 'has 8 fields; an object has eight coordinates, a class and a difficulty'),
    ('1 2 3 4 5 6 7 8 ship 0 0', 'has 11 fields'),
    ('1 2 3 4 5 6 7 nan ship 0', "the coordinate is 'nan'"),
    (f'1 2 3 4 5 6 7 8 ship {"1" * 5000}', "the difficulty is '111"),
    ('1 2 3 4 5 6 7 8 ship easy', "the difficulty is 'easy'; it must be a whole number from 0"),
])
def test_malformed_dota_line_names_file_and_line(tmp_path, line, reason):
    path = write(tmp_path / 'P.txt', f'gsd:null\n{SQUARE} ship 0\n{line}\n')
    with pytest.raises(LabelError, match=f'P.txt, line 3: .*{reason}'):
        read_dota_text(path)


def test_binary_dota_file(tmp_path):
    (tmp_path / 'P.txt').write_bytes(b'gsd:1\n\xff\xfe')
    with pytest.raises(LabelError, match='P.txt, line 1: it is not UTF-8 text'):
        read_dota_text(str(tmp_path / 'P.txt'))


def test_dior_xml(tmp_path):
    path = write(tmp_path / '1.xml', xml(('Expressway-Service-area', '1 2 3 4 5 6 7 -8.5', 1), ('ship', SQUARE)))
    size, objects = read_dior_xml(path)
    assert size == (48, 64)
    assert objects[0] == ((1, 2, 3, 4, 5, 6, 7, -8.5), 'expressway-service-area', 1)
    assert objects[1].difficulty == 0
    assert read_dior_xml(write(tmp_path / '2.xml', '<annotation/>')) == (None, [])


@pytest.mark.parametrize(('encoding', 'quote'), [('GB2312', '"'), ('gbk', "'"), ('ISO-8859-1', '"'), ('UTF-16', None)])
def test_dior_xml_in_any_encoding(tmp_path, encoding, quote):
    """Expat does not know GB2312, and finds UTF-16 by its first bytes."""
    text = xml(('ship', SQUARE)).replace('<annotation>', '<annotation><source>caf\u00e9</source>' if quote is None else
                                         '<annotation>')
    if quote is not None:
        text = text.replace('<?xml version="1.0"?>', f'<?xml version="1.0" encoding={quote}{encoding}{quote}?>')
    (tmp_path / '1.xml').write_bytes(text.encode(encoding))
    size, objects = read_dior_xml(str(tmp_path / '1.xml'))
    assert size == (48, 64)
    assert objects[0].name == 'ship'


@pytest.mark.parametrize(('text', 'line', 'reason'), [
    ('<annotation>\n<object>', 2, 'it is not XML: no element found'),
    ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>\n<a>&b;</a>', 1, 'it has a document type'),
    ('<annotation>\n<object><name>ship</name>\n<bndbox/></object></annotation>', 2, "object 'ship' has no <robndbox>"),
    ('<annotation>\n<object>\n<robndbox/></object></annotation>', 2, '<object> has no <name>'),
    (xml(('ship', '1 2 3 4 5 6 7 x')).replace('\n', ''), 1, "the coordinate is 'x'"),
    ('<annotation><object><name>ship</name>\n<robndbox/></object></annotation>', 2, '<robndbox> has no <x_left_top>'),
    ('<?xml version="1.0" encoding="nonsense"?><a/>', 1, "it declares the encoding 'nonsense', as which it cannot be"),
    (xml(('ship', SQUARE, '9' * 40)).replace('\n', ''), 1, 'the difficulty is 1e'),
])
def test_malformed_dior_file_names_file_and_line(tmp_path, text, line, reason):
    with pytest.raises(LabelError, match=f'1.xml, line {line}: {reason}'):
        read_dior_xml(write(tmp_path / '1.xml', text))


def test_unknown_classes_of_dior_are_counted(dior, capsys):
    MMLogger.get_instance('rotated')
    dataset = dior_dataset(dior)
    assert [len(dataset.get_data_info(i)['instances']) for i in range(3)] == [2, 0, 0]
    assert dataset.unknown == {'zeppelin': 1}
    told = capsys.readouterr().out
    assert told.count('DIORRDataset left out 1 objects of unknown classes in') == 1
    assert "'zeppelin' (1); strict=True makes this an error" in told


def test_unknown_classes_are_errors_when_strict(dior, dota):
    with pytest.raises(ValueError, match=r"00001.xml has objects of unknown classes: 'zeppelin' \(1\)"):
        dior_dataset(dior, strict=True)
    write(dota / 'labelTxt/P1.txt', f'{SQUARE} helipad 0')
    with pytest.raises(ValueError, match="'helipad'.*Correct the file, or set strict=False to leave such objects out"):
        dota_dataset(dota, version='v1.5')
    assert dota_dataset(dota, version='v1.5', strict=False).unknown == {'helipad': 1}
    assert len(dota_dataset(dota, version='v2.0').get_data_info(1)['instances']) == 1


def test_classes_are_those_of_mmrotate_in_its_order(dior, dota):
    assert dior_dataset(dior).metainfo['classes'] == DIORDataset.METAINFO['classes']
    for version, kind in {'v1.0': DOTADataset, 'v1.5': DOTAv15Dataset, 'v2.0': DOTAv2Dataset}.items():
        assert dota_dataset(dota, version=version).metainfo['classes'] == kind.METAINFO['classes']
    with pytest.raises(ValueError, match="`version` of S5DOTADataset is 'v3'; choose from v1.0, v1.5, v2.0"):
        dota_dataset(dota, version='v3')


def test_training_leaves_out_thin_boxes_then_empty_images(dior):
    """The ship of 1 x 35 px goes, and with it nothing else; images 1 and 2 have no box of a class."""
    dataset = dior_dataset(dior, filter_cfg=dict(filter_empty_gt=True, min_side=2))
    assert len(dataset) == 1
    assert [instance['bbox_label'] for instance in dataset.get_data_info(0)['instances']] == [0]
    assert dataset.get_cat_ids(0) == [0]
    tested = dior_dataset(dior, filter_cfg=dict(filter_empty_gt=True, min_side=2), test_mode=True)
    assert [len(instances) for instances in flags(tested)] == [2, 0, 0]


def test_no_target_left_is_an_error(dior, dota):
    with pytest.raises(ValueError, match=r"DIORRDataset: none of 3 images of .*trainval\.txt has a target under "
                       r"filter_cfg=\{'filter_empty_gt': True\} and the classes kite, zebra; compare the classes"):
        dior_dataset(dior, metainfo=dict(classes=('kite', 'zebra')), filter_cfg=dict(filter_empty_gt=True))
    with pytest.raises(ValueError, match="'min_side': 99"):
        dota_dataset(dota, filter_cfg=dict(filter_empty_gt=True, min_side=99))
    assert len(dior_dataset(dior, metainfo=dict(classes=('kite', )))) == 3


def test_classes_of_dior_in_upper_case_are_an_error(dior):
    with pytest.raises(ValueError, match="the class 'Ship' matches no object, .* write 'ship' in metainfo.classes"):
        dior_dataset(dior, metainfo=dict(classes=('airplane', 'Ship')))


def test_short_sides_are_those_of_the_rotated_box():
    """A square of side 2 on its corner has the diagonals 2 * sqrt(2); upright, its bounding box is that wide."""
    r = 2 ** 0.5
    assert short_sides([[0, -r, r, 0, 0, r, -r, 0], [0, 0, 10, 0, 10, 3, 0, 3]]) == pytest.approx([2.0, 3.0])
    assert short_sides([]) == []


def test_useless_boxes_are_left_out_of_training_and_counted(dota, capsys):
    """A line, a point, a box seen twice; another class or difficulty is no copy, nor is a box 0.011 px wide."""
    MMLogger.get_instance('useless')
    write(dota / 'labelTxt/P1.txt', '\n'.join([
        '0 0 10 10 20 20 5 5 ship 0', '3 3 3 3 3 3 3 3 ship 0', '0 0 30 0 30 0.009 0 0.009 ship 0',
        f'{SQUARE} plane 0', f'{SQUARE} plane 0', f'{SQUARE} ship 0', f'{SQUARE} plane 2',
        '0 0 30 0 30 0.011 0 0.011 ship 0']))
    assert len(dota_dataset(dota).get_data_info(1)['instances']) == 4
    assert 'left out 3 boxes without area and 1 copies of boxes in' in capsys.readouterr().out
    assert len(dota_dataset(dota, test_mode=True).get_data_info(1)['instances']) == 8


def test_rules_travel_to_the_metric(dota):
    meta = dota_dataset(dota, test_mode=True).metainfo
    assert (meta['strict'], meta['difficulty_limit']) == (True, 0)
    meta = dota_dataset(dota, test_mode=True, strict=False, diff_thr=2).metainfo
    assert (meta['strict'], meta['difficulty_limit']) == (False, 2)


def test_boxes_as_wide_as_the_limit_stay(dota):
    write(dota / 'labelTxt/P1.txt', '0 0 10 0 10 2 0 2 ship 0\n0 0 10 0 10 1.9 0 1.9 ship 0')
    dataset = dota_dataset(dota, filter_cfg=dict(min_side=2))
    assert len(dataset.get_data_info(1)['instances']) == 1


def test_difficult_objects_train_but_truncated_ones_do_not(dota):
    assert flags(dota_dataset(dota)) == [[0, 0, 1], [1], []]
    assert flags(dota_dataset(dota, test_mode=True)) == [[0, 1, 1], [1], []]
    assert flags(dota_dataset(dota, diff_thr=100)) == [[0, 0, 0], [0], []]
    assert flags(dota_dataset(dota, filter_cfg=dict(filter_empty_gt=True))) == [[0, 0, 1]]


def test_dota_without_labels_takes_all_images_sorted(dota):
    dataset = dota_dataset(dota, ann_file='', test_mode=True)
    assert [dataset.get_data_info(i)['img_id'] for i in range(3)] == ['P0', 'P1', 'P2']
    assert flags(dataset) == [[], [], []]


def test_what_is_missing_is_named(dior, dota):
    (dota / 'images/P1.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 3 images of .*labelTxt do not exist: .*P1\.png'):
        dota_dataset(dota)
    with pytest.raises(FileNotFoundError, match='image directory .*pictures does not exist'):
        dota_dataset(dota, data_prefix=dict(img_path='pictures'))
    with pytest.raises(FileNotFoundError, match='directory .*annfiles does not exist'):
        dota_dataset(dota, ann_file='annfiles')
    with pytest.raises(ValueError, match='`filter_cfg` of S5DOTADataset has min_size; allowed are filter_empty_gt'):
        dota_dataset(dota, filter_cfg=dict(min_size=2))
    (dota / 'empty').mkdir()
    with pytest.raises(ValueError, match='S5DOTADataset found no image: .*empty names none'):
        dota_dataset(dota, ann_file='empty')
    write(dior / 'ImageSets/Main/trainval.txt', '00000\n00000\n')
    with pytest.raises(ValueError, match='has empty lines or 1 duplicate names'):
        dior_dataset(dior)


@pytest.fixture
def settings():
    """Training and test set of the configs, by name."""
    config = Config.fromfile(CONFIGS / 'dior_r_dota_v2.py')
    return {name: (config.detection_sources[name], config.detection_loaders[name].dataset) for name in ('dior', 'dota')}


def test_samples_of_the_configs(dota, settings):
    """A square of (10, 10) to (30, 30) in 64 x 48 px, resized to 1024 x 768: its sides become 320 px."""
    train, test = ({**given, 'data_root': str(dota), 'ann_file': 'labelTxt', 'data_prefix': dict(img_path='images')}
                   for given in settings['dota'])
    flip = next(step for step in train['pipeline'] if step['type'] == 'mmdet.RandomFlip')
    assert (flip['prob'], flip['direction']) == (0.75, ['horizontal', 'vertical', 'diagonal'])
    flip.update(prob=1.0, direction='horizontal')
    sample = DATASETS.build(train)[0]
    assert sample['inputs'].shape == (3, 768, 1024)
    objects = sample['data_samples'].gt_instances
    assert isinstance(objects.bboxes, RotatedBoxes)
    assert objects.bboxes.tensor[:, :4] == pytest.approx(torch.tensor([[704.0, 320, 320, 320]] * 2))
    assert objects.labels.tolist() == [0, 6]
    assert len(sample['data_samples'].ignored_instances) == 1
    assert sample['data_samples'].flip_direction == 'horizontal'
    sample = DATASETS.build(test)[0]['data_samples']
    assert isinstance(sample.gt_instances.bboxes, QuadriBoxes)
    assert sample.gt_instances.bboxes.tensor.tolist() == [[10, 10, 30, 10, 30, 30, 10, 30]]
    assert len(sample.ignored_instances) == 2
    assert (sample.ori_shape, sample.img_shape, sample.img_id) == ((48, 64), (768, 1024), 'P0')


@pytest.mark.parametrize(('direction', 'sign'), [
    ('horizontal', (-1, 1)), ('vertical', (1, -1)), ('diagonal', (-1, -1))])
def test_flips_turn_boxes_with_the_image(dota, settings, direction, sign):
    """A tilted box of 20 x 10 px around the middle of 64 x 48 px: its corners are mirrored there."""
    middle, along, across = np.array([32, 24]), np.array([8, 6]), np.array([-3, 4])
    corners = np.array([middle + along * i + across * j for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
    write(dota / 'labelTxt/P0.txt', ' '.join(map(str, corners.ravel().tolist())) + ' plane 0')
    given = dict(settings['dota'][0], data_root=str(dota), ann_file='labelTxt', data_prefix=dict(img_path='images'))
    steps = {'mmdet.RandomFlip': dict(prob=1.0, direction=direction), 'mmdet.Resize': dict(scale=(128, 96))}
    given['pipeline'] = [{**step, **steps.get(step['type'], {})} for step in given['pipeline']]
    boxes = DATASETS.build(given)[0]['data_samples'].gt_instances.bboxes
    found = boxes.convert_to('qbox').tensor.reshape(4, 2).numpy()
    expected = 2 * ((corners - middle) * sign + middle)
    assert np.array(sorted(found.tolist())) == pytest.approx(np.array(sorted(expected.tolist())), abs=1e-3)


def test_dior_of_the_configs(dior, settings):
    train, test = ({**given, 'data_root': str(dior)} for given in settings['dior'])
    assert len(DATASETS.build(train)) == 1
    test.update(ann_file=train['ann_file'], data_prefix=train['data_prefix'])
    samples = DATASETS.build(test)
    assert len(samples) == 3
    assert samples[2]['data_samples'].gt_instances.bboxes.tensor.shape == (0, 8)

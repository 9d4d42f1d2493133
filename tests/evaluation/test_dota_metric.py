"""Whole DOTA images from their patches; no patch is an image file here, names tell where it lies."""
import zipfile

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from mmrotate.structures.bbox import QuadriBoxes, qbox2rbox

from s5_mm.evaluation import DOTAMetric, as_polygons, load_detections, parse_patch
from s5_mm.ops import nms_rotated
from s5_mm.registry import METRICS

CLASSES = ('plane', 'ship', 'harbor')
WINDOWS = [(left, top) for top in (0, 276) for left in (0, 824, 976)]
"""Corners of patches of 1024 px in an image of 2000 x 1300 px, gap 200, the last ones moved inside."""


def run(built, samples, classes=CLASSES, **meta):
    evaluator = Evaluator(built)
    evaluator.dataset_meta = dict(classes=classes, **meta)
    for one in samples:
        evaluator.process([one])
    return evaluator.evaluate(len(samples))


def metric(**kwargs):
    return METRICS.build(dict(type='s5_mm.DOTAMetric', **kwargs))


def instances(boxes, labels, **kwargs):
    return InstanceData(bboxes=boxes, labels=torch.tensor(labels).long(), **kwargs)


def patch(name, boxes, scores, labels, truth=None, true_labels=()):
    """A sample as a dict; boxes are (N, 5) or (N, 8) in px of the patch."""
    truth = torch.zeros(0, 8) if truth is None else torch.as_tensor(truth).float()
    boxes = torch.as_tensor(np.asarray(boxes)).float()
    return dict(img_id=name, img_path=f'{name}.png',
                pred_instances=instances(boxes, labels, scores=torch.tensor(scores)),
                gt_instances=instances(QuadriBoxes(truth), true_labels),
                ignored_instances=instances(QuadriBoxes(torch.zeros(0, 8)), []))


def write_labels(folder, name, objects):
    """A label file as the official ones are: headers and CRLF; objects are (corners, class, difficult)."""
    folder.mkdir(exist_ok=True)
    lines = ['imagesource:GoogleEarth', 'gsd:0.25']
    lines += [' '.join([*map(str, corners), kind, str(difficult)]) for corners, kind, difficult in objects]
    (folder / f'{name}.txt').write_bytes('\r\n'.join(lines).encode())
    return str(folder)


@pytest.fixture
def scene():
    """Objects of an image: (N, 8) corners of rotated boxes without overlap, and labels."""
    rng = np.random.default_rng(3)
    places = [(x, y) for x in range(60, 1950, 96) for y in range(60, 1250, 96)]
    boxes = [(x, y, *rng.uniform(20, 60, 2), rng.uniform(-1.5, 1.5)) for x, y in places]
    return as_polygons(np.array(boxes)).round(1), rng.integers(0, 3, len(boxes))


def cut(scene, name='P1'):
    """Patches whose detections are their whole objects as rotated boxes, read back from float32 corners."""
    polygons, labels = scene
    samples = []
    for left, top in WINDOWS:
        own = polygons - np.tile([left, top], 4)
        inside = ((own >= 0) & (own <= 1024)).all(axis=1)
        boxes = qbox2rbox(torch.tensor(own[inside]).float())
        scores = np.linspace(0.3, 0.9, int(inside.sum())) + left / 1e5
        samples.append(patch(f'{name}__1024__{left}___{top}', boxes, scores, labels[inside], own[inside],
                             labels[inside]))
    return samples


def test_split_and_merged_gives_back_every_object_once(scene, tmp_path):
    polygons, labels = scene
    ann_dir = write_labels(tmp_path / 'labelTxt', 'P1', [(corners, CLASSES[label], 0) for corners, label
                                                         in zip(polygons.tolist(), labels, strict=True)])
    samples = cut(scene)
    assert sum(len(one['pred_instances']['labels']) for one in samples) > 1.3 * len(polygons)
    values = run(metric(ann_dir=ann_dir, out_file=str(tmp_path / 'found.npz'), iou_range=True), samples)
    assert values['mAP'] == values['patch_mAP'] == 100
    [image], _ = load_detections(tmp_path / 'found.npz')
    assert len(image.polygons) == len(polygons)
    assert np.bincount(image.labels).tolist() == np.bincount(labels).tolist()


def test_merged_and_patch_map_are_two_numbers(tmp_path):
    """A plane in two patches, found in one of them: whole image 1, patches 1 of 2 objects (six levels of eleven)."""
    plane = np.array([[900.0, 100, 950, 100, 950, 150, 900, 150]])
    ann_dir = write_labels(tmp_path / 'labelTxt', 'P1', [(plane[0].tolist(), 'plane', 0)])
    samples = [patch('P1__1024__0___0', plane, [0.9], [0], plane, [0]),
               patch('P1__1024__824___0', np.zeros((0, 5)), [], [], plane - [[824, 0] * 4], [0])]
    values = run(metric(ann_dir=ann_dir), samples)
    assert values['mAP'] == 100
    assert values['patch_mAP'] == round(600 / 11, 2)


def test_difficult_objects_of_the_whole_image_are_ignored(tmp_path):
    """Three ships; the detected difficult one counts neither way, the difficult one not found is no miss."""
    ships = [np.array([x, 0, x + 20, 0, x + 20, 10, x, 10.0]) for x in (0, 100, 200)]
    ann_dir = write_labels(tmp_path / 'labelTxt', 'P1', [(ship.tolist(), 'ship', difficult) for ship, difficult
                                                         in zip(ships, (0, 1, 2), strict=True)])
    one = patch('P1__1024__0___0', np.stack(ships[:2]), [0.5, 0.9], [1, 1])
    values = run(metric(ann_dir=ann_dir), [one])
    assert values['mAP'] == 100
    assert 'patch_mAP' not in values


def test_shifted_by_known_amounts(scene, tmp_path):
    """Along the own side by a fifth: IoU 0.8 / 1.2, above four of ten thresholds; by a half: 1/3, none."""
    polygons, labels = scene
    ann_dir = write_labels(tmp_path / 'labelTxt', 'P1', [(corners, CLASSES[label], 0) for corners, label
                                                         in zip(polygons.tolist(), labels, strict=True)])
    side = np.tile(polygons[:, 2:4] - polygons[:, :2], 4)
    for share, at_half, in_range in ((0.2, 100, 40), (0.5, 0, 0)):
        moved = polygons + share * side
        one = patch('P1__1024__0___0', moved.astype(np.float32), np.linspace(0.1, 0.9, len(moved)), labels)
        values = run(metric(ann_dir=ann_dir, iou_range=True, merge_iou_thr=1.0), [one])
        assert values['mAP'] == at_half
        assert values['mAP_50_95'] == in_range


def test_merging_drops_only_what_overlaps_enough_in_its_class(tmp_path):
    """Squares of side 10 shifted by 6 have the IoU 4 / 16; the patch at 824 sees 830 as 6."""
    def at(x):
        return [x, 0, x + 10, 0, x + 10, 10, x, 10]
    samples = [patch('P1__1024__0___0', [at(824.0), at(900)], [0.9, 0.4], [0, 0]),
               patch('P1__1024__824___0', [at(6.0), at(6), at(76)], [0.8, 0.7, 0.6], [0, 1, 0])]
    for merge_iou_thr, lefts in ((0.1, [824, 900, 830]), (0.3, [824, 830, 900, 830])):
        path = tmp_path / f'{merge_iou_thr}.npz'
        run(metric(merge_iou_thr=merge_iou_thr, out_file=str(path)), samples)
        [image], _ = load_detections(path)
        assert image.polygons[:, 0].tolist() == lefts
        assert image.labels.tolist()[-1] == 1
    assert image.scores == pytest.approx([0.9, 0.8, 0.6, 0.7])


def test_nms_keeps_no_twin_that_nearly_coincides():
    rng = np.random.default_rng(0)
    boxes = np.stack([*rng.uniform(0, 30000, (2, 400)), *rng.uniform(8, 200, (2, 400)),
                      rng.uniform(-1.5, 1.5, 400)], axis=1)
    once = as_polygons(torch.tensor(boxes).float())
    twins = as_polygons(qbox2rbox(torch.tensor(once).float()))
    kept = nms_rotated(*map(torch.tensor, (np.concatenate([once, twins]), rng.random(800))), 0.9)
    assert sorted((kept % 400).tolist()) == list(range(400))


def test_nms_suppresses_by_kept_boxes_alone():
    """Shifts of 6: the second overlaps the first, the third the second alone, so the third stays."""
    squares = torch.tensor([[x, 0, x + 10, 0, x + 10, 10, x, 10] for x in (0.0, 6, 12)])
    assert nms_rotated(squares, torch.tensor([0.9, 0.8, 0.7]), 0.1).tolist() == [0, 2]
    assert nms_rotated(squares, torch.tensor([0.5, 0.5, 0.5]), 0.1).tolist() == [0, 2]
    assert nms_rotated(squares, torch.tensor([0.1, 0.9, 0.5]), 0.1).tolist() == [1]
    assert nms_rotated(squares[:0], torch.zeros(0), 0.1).tolist() == []


@pytest.mark.parametrize(('name', 'parts'), [
    ('P0706__1024__0___824', ('P0706', 0, 824, 1.0)),
    ('P1__512__12___7', ('P1', 12, 7, 1.0)),
    ('P1__0.5__100___824', ('P1', 100, 824, 0.5)),
    ('P1__1__100___824', ('P1', 100, 824, 1.0)),
    ('P1__31__3___4', ('P1', 3, 4, 31.0)),
    ('P1__32__3___4', ('P1', 3, 4, 1.0)),
    ('my__image__1.5__3___4', ('my__image', 3, 4, 1.5)),
])
def test_names_of_patches(name, parts):
    assert parse_patch(name) == parts


@pytest.mark.parametrize('name', ['P0706', 'P1__1024__0__0', 'P1__0__0___0', 'P1__1024__-5___0'])
def test_other_names_are_an_error(name):
    with pytest.raises(ValueError, match=f'{name} is not the name of a patch; it must be IMAGE__SIZE__X___Y'):
        parse_patch(name)


def test_patches_of_a_resized_image(tmp_path):
    """At rate 0.5 the box at 10 ... 20 of the patch at 100, 200 lies at 220 ... 240, 420 ... 440."""
    box = [10.0, 10, 20, 10, 20, 20, 10, 20]
    truth = ([220, 420, 240, 420, 240, 440, 220, 440], 'ship', 0)
    ann_dir = write_labels(tmp_path / 'labelTxt', 'P1', [truth])
    samples = [patch('P1__0.5__100___200', [box], [0.9], [1])]
    assert run(metric(ann_dir=ann_dir, out_file=str(tmp_path / 'f.npz')), samples)['mAP'] == 100
    assert load_detections(tmp_path / 'f.npz')[0][0].polygons[0].tolist() == truth[0]


def test_zip_for_the_server(tmp_path):
    """Every class has a file, scores keep all digits, images are whole ones."""
    near = float(np.nextafter(np.float32(0.5), np.float32(1)))
    box = [[0.1, 0.2, 10, 0, 10, 10, 0, 10]]
    samples = [patch('P2__1024__824___0', box, [0.5], [0]), patch('P1__1024__0___0', box, [near], [0]),
               patch('P1__1024__0___276', [], [], [])]
    path = tmp_path / 'new' / 'task1.zip'
    assert run(metric(zip_file=str(path), format_only=True), samples) == {}
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ['Task1_plane.txt', 'Task1_ship.txt', 'Task1_harbor.txt']
        lines = archive.read('Task1_plane.txt').decode().splitlines()
        assert archive.read('Task1_ship.txt') == archive.read('Task1_harbor.txt') == b''
    assert [line.split()[0] for line in lines] == ['P1', 'P2']
    assert [float(line.split()[1]) for line in lines] == [near, 0.5]
    corners = [float(number) for number in lines[1].split()[2:]]
    assert corners == [float(np.float32(0.1)) + 824, float(np.float32(0.2)), 834, 0, 834, 10, 824, 10]
    assert [entry.name for entry in path.parent.iterdir()] == ['task1.zip']


def test_an_image_without_any_detection_counts(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('s5_mm.evaluation.dota_metric.print_log', lambda text, *args, **kwargs: lines.append(text))
    box = [0.0, 0, 10, 0, 10, 10, 0, 10]
    for name in ('P1', 'P2'):
        ann_dir = write_labels(tmp_path / 'labelTxt', name, [(box, 'plane', 0)])
    values = run(metric(ann_dir=ann_dir), [patch('P1__1024__0___0', [box], [0.9], [0])])
    assert values['mAP'] == round(600 / 11, 2)
    assert '1 of 2 images in' in lines[0]
    assert 'had no patch in the test; their objects count as missed: P2' in lines[0]


def test_images_without_a_label_file_are_an_error(tmp_path):
    ann_dir = write_labels(tmp_path / 'labelTxt', 'P1', [])
    with pytest.raises(ValueError, match=r'1 of 1 images have no label file in ann_dir .*: P9; ann_dir must be'):
        run(metric(ann_dir=ann_dir), [patch(f'{name}__1024__0___0', [], [], []) for name in ('P1', 'P9')])


def test_an_image_without_a_label_file_is_told_before_the_test_is_over(tmp_path):
    built = metric(ann_dir=write_labels(tmp_path / 'labelTxt', 'P1', []))
    built.dataset_meta = dict(classes=CLASSES)
    built.process({}, [patch('P1__1024__0___0', [], [], [])])
    with pytest.raises(ValueError, match=r'1 of 2 images have no label file in .*labelTxt: P2; .* or None for a test'):
        built.process({}, [patch(f'{name}__1024__0___0', [], [], []) for name in ('P1', 'P2')])


def test_labels_of_another_version_are_an_error(tmp_path):
    ann_dir = write_labels(tmp_path / 'labelTxt', 'P1', [([0, 0, 1, 0, 1, 1, 0, 1], 'helipad', 0)])
    with pytest.raises(ValueError, match=r'P1\.txt has the class helipad, the dataset has plane, ship, harbor'):
        run(metric(ann_dir=ann_dir), [patch('P1__1024__0___0', [], [], [])])


def test_rules_of_the_dataset_are_those_of_the_metric(tmp_path):
    """``strict=False`` leaves a helipad out; with ``diff_thr=1`` a ship of difficulty 1 that is not found counts."""
    ships = [np.array([x, 0, x + 20, 0, x + 20, 10, x, 10.0]) for x in (0, 100)]
    ann_dir = write_labels(tmp_path / 'labelTxt', 'P1', [
        (ships[0].tolist(), 'ship', 0), (ships[1].tolist(), 'ship', 1), ([0, 0, 1, 0, 1, 1, 0, 1], 'helipad', 0)])
    samples = [patch('P1__1024__0___0', np.stack(ships[:1]), [0.9], [1])]
    assert run(metric(ann_dir=ann_dir), samples, strict=False)['mAP'] == 100
    assert run(metric(ann_dir=ann_dir), samples, strict=False, difficulty_limit=1)['mAP'] == round(600 / 11, 2)


def test_a_patch_met_twice_counts_once(tmp_path):
    box = [0.0, 0, 10, 0, 10, 10, 0, 10]
    path = tmp_path / 'found.npz'
    run(metric(merge_iou_thr=1.0, out_file=str(path)), [patch('P1__1024__0___0', [box], [0.9], [0])] * 2)
    assert len(load_detections(path)[0][0].scores) == 1


@pytest.mark.parametrize(('option', 'message'), [
    (dict(merge_iou_thr=1.5), r'merge_iou_thr is 1\.5; it must be in \[0, 1\]'),
    (dict(format_only=True), 'format_only=True needs zip_file'),
])
def test_impossible_options(option, message):
    with pytest.raises(ValueError, match=message):
        DOTAMetric(**option)


def test_a_missing_folder_of_labels_is_an_error():
    with pytest.raises(FileNotFoundError, match='ann_dir nowhere does not exist; it is the folder of the label'):
        DOTAMetric(ann_dir='nowhere')

"""mAP of rotated boxes by hand; squares of side 10 shifted by d have the IoU (10 - d) / (10 + d)."""
import math
import pickle

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from mmrotate.structures.bbox import QuadriBoxes
from overlaps import polygon_iou

from s5_mm.evaluation import RotatedMAP, load_detections
from s5_mm.evaluation.average_precision import Curve, average_precision
from s5_mm.registry import METRICS

CLASSES = ('ship', 'plane', 'bridge')


def metric(**kwargs):
    built = METRICS.build(dict(type='s5_mm.RotatedMAP', **kwargs))
    built.dataset_meta = dict(classes=CLASSES)
    return built


def square(x, y=0.0, label=0):
    return ([x, y, x + 10, y, x + 10, y + 10, x, y + 10], label)


def instances(objects):
    boxes = torch.tensor([corners for corners, _ in objects]).reshape(-1, 8)
    return InstanceData(bboxes=QuadriBoxes(boxes), labels=torch.tensor([label for _, label in objects]).long())


def sample(objects, found, difficult=(), name='P1'):
    """A sample as the detectors give it; ``found`` are (x, score) or (x, score, label) of rotated squares."""
    found = [(*one, 0)[:3] for one in found]
    data = DetDataSample(metainfo=dict(img_id=name, img_path=f'images/{name}.png'))
    data.gt_instances, data.ignored_instances = instances(objects), instances(difficult)
    data.pred_instances = InstanceData(
        bboxes=torch.tensor([[x + 5.0, 5.0, 10.0, 10.0, 0.0] for x, *_ in found]).reshape(-1, 5),
        scores=torch.tensor([score for _, score, _ in found]),
        labels=torch.tensor([label for *_, label in found]).long())
    return data


def evaluate(*samples, **kwargs):
    evaluator = Evaluator(metric(**kwargs))
    evaluator.dataset_meta = dict(classes=CLASSES)
    for one in samples:
        evaluator.process([one])
    return evaluator.evaluate(len(samples))


def per_cent(value):
    return round(100 * value, 2)


def test_half_of_the_objects_found():
    """Recall 0.5 at precision 1: six of eleven levels."""
    one = sample([square(0), square(100)], [(0, 0.9)])
    assert evaluate(one)['mAP'] == per_cent(6 / 11)
    assert evaluate(one, eval_mode='area')['mAP'] == 50


def test_duplicate_is_wrong():
    """Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1."""
    one = sample([square(0), square(100)], [(0, 0.9), (1, 0.8), (100, 0.7)])
    assert evaluate(one)['mAP'] == per_cent((6 + 5 * 2 / 3) / 11)
    assert evaluate(one, eval_mode='area')['mAP'] == per_cent((1 + 2 / 3) / 2)


def test_the_better_score_finds_the_object_whatever_overlaps_more():
    """The second detection fits exactly, but comes later."""
    one = sample([square(0)], [(0, 0.8), (2, 0.9)])
    assert evaluate(one)['mAP'] == 100
    assert evaluate(one, iou_thr=0.7)['mAP'] == 50


def test_a_detection_belongs_to_the_object_it_overlaps_most_even_if_that_is_found():
    """At x = 2 the IoU is 8/12 with the object at 0 and 7/13 with the one at 5: wrong twice over."""
    one = sample([square(0), square(5)], [(0, 0.9), (2, 0.8)])
    assert evaluate(one)['mAP'] == per_cent(6 / 11)
    assert evaluate(sample([square(5)], [(2, 0.8)]))['mAP'] == 100


def test_of_two_objects_overlapped_alike_the_first():
    """Twice at 2, between objects at 0 and 4: both detections belong to the first, so one is a duplicate."""
    assert evaluate(sample([square(0), square(4)], [(2, 0.9), (2, 0.8)]))['mAP'] == per_cent(6 / 11)


def test_of_an_object_and_a_difficult_one_overlapped_alike_the_object():
    """Difficult ones come last."""
    assert evaluate(sample([square(0)], [(2, 0.9)], difficult=[square(4)]))['mAP'] == 100


def test_iou_at_the_threshold_is_not_enough():
    """Side 12 shifted by 4: 8 / 16."""
    corners = torch.tensor([[0.0, 0, 12, 0, 12, 12, 0, 12]])
    one = sample([], [(0, 0.9)])
    one.gt_instances = InstanceData(bboxes=QuadriBoxes(corners), labels=torch.tensor([0]))
    one.pred_instances.bboxes = corners + torch.tensor([4.0, 0] * 4)
    assert evaluate(one)['mAP'] == 0
    assert evaluate(one, iou_thr=0.499)['mAP'] == 100


@pytest.mark.parametrize('order', [1, -1])
def test_equal_scores_keep_their_order(order):
    """Twenty right, twenty wrong ones of one score: right ones first give 1, wrong ones first 20 / 40 at the end."""
    objects = [square(100 * i) for i in range(20)]
    found = [(100 * i, 0.5) for i in range(20)] + [(100 * i + 50, 0.5) for i in range(20)]
    value = evaluate(sample(objects, found[::order]))['mAP']
    assert value == (100 if order == 1 else 50)


def test_equal_scores_of_several_images_keep_the_order_of_images():
    right, wrong = sample([square(0)], [(0, 0.5)], name='a'), sample([], [(0, 0.5)], name='b')
    assert evaluate(right, wrong)['mAP'] == 100
    assert evaluate(wrong, right)['mAP'] == 50


def test_scores_are_compared_unrounded():
    near = np.nextafter(np.float32(0.9), np.float32(1))
    assert evaluate(sample([square(0)], [(50, 0.9), (0, float(near))]))['mAP'] == 100


def test_difficult_objects_count_neither_way():
    """Found twice, with the best scores; another difficult one is not found."""
    one = sample([square(0)], [(100, 0.9), (101, 0.8), (0, 0.7)], difficult=[square(100), square(200)])
    assert evaluate(one)['mAP'] == 100


def test_a_detection_that_overlaps_a_difficult_object_more_does_not_find_the_other():
    """At 2: 8/12 with the difficult object at 0, 7/13 with the one at 5."""
    one = sample([square(5)], [(2, 0.9)], difficult=[square(0)])
    values = evaluate(one)
    assert values['mAP'] == 0
    assert evaluate(one, sample([square(0)], [(0, 0.5)], name='b'))['mAP'] == per_cent(6 / 11)


def test_a_detection_that_misses_a_difficult_object_is_wrong():
    """IoU 4/16 at a shift of 6."""
    one = sample([square(100)], [(6, 0.9), (100, 0.8)], difficult=[square(0)])
    assert evaluate(one)['mAP'] == 50


def test_classes_without_objects_are_no_part_of_the_mean():
    """Planes are only predicted, bridges are only difficult."""
    one = sample([square(0)], [(0, 0.9), (0, 0.8, 1)], difficult=[square(0, label=2)])
    values = evaluate(one)
    assert values['mAP'] == values['AP.ship'] == 100
    assert math.isnan(values['AP.plane'])
    assert math.isnan(values['AP.bridge'])


def test_classes_without_detections_are_0():
    values = evaluate(sample([square(0), square(0, label=1)], [(0, 0.9)]))
    assert values['AP.plane'] == 0
    assert values['mAP'] == 50


def test_classes_do_not_find_each_other():
    assert evaluate(sample([square(0)], [(0, 0.9, 1)]))['mAP'] == 0


def test_images_do_not_find_each_other():
    values = evaluate(sample([square(0)], [], name='a'), sample([], [(0, 0.9)], name='b'))
    assert values['mAP'] == 0


def test_nothing_at_all_says_so(monkeypatch):
    lines = []
    monkeypatch.setattr('s5_mm.evaluation.rotated_map.print_log', lambda text, *args, **kwargs: lines.append(text))
    assert evaluate(sample([], []))['mAP'] == 0
    assert 'No object of any class (apart from difficult ones)' in lines[0]


def test_range_of_thresholds():
    """IoU 8/12 is above 0.5, 0.55, 0.6 and 0.65, four of ten."""
    values = evaluate(sample([square(0)], [(2, 0.9)]), iou_range=True)
    assert values['mAP'] == 100
    assert values['mAP_50_95'] == 40


def test_levels_of_eleven_points_are_those_of_the_devkit():
    """In float64 0.1 * 3 is above 3 / 10, so that recall reaches three levels; 5 / 10 reaches six."""
    for found, levels in ((3, 3), (4, 5), (5, 6), (6, 6), (7, 7), (8, 9)):
        recall = np.arange(1, found + 1) / 10
        curve = Curve(np.ones(found), recall, np.ones(found), 10)
        assert average_precision(curve) == pytest.approx(levels / 11)
        assert average_precision(curve, 'area') == pytest.approx(found / 10)


def devkit_ap(images, iou_thr):
    """The published rules, read one detection after another; images are (objects, difficult, boxes, scores)."""
    detections = [(-score, i, box) for i, (*_, boxes, scores) in enumerate(images)
                  for box, score in zip(boxes, scores, strict=True)]
    taken, right, wrong, curve = set(), 0, 0, []
    to_find = sum(int((~difficult).sum()) for _, difficult, *_ in images)
    for _, i, box in sorted(detections, key=lambda one: one[0]):
        objects, difficult, *_ = images[i]
        iou = polygon_iou(box[None], objects)[0] if len(objects) else np.zeros(1)
        best = int(iou.argmax())
        if iou[best] <= iou_thr:
            wrong += 1
        elif not difficult[best]:
            right, wrong = (right, wrong + 1) if (i, best) in taken else (right + 1, wrong)
            taken.add((i, best))
        curve.append((right / to_find, right / max(right + wrong, 1)))
    return sum(max([p for r, p in curve if r >= level], default=0) for level in np.arange(0, 1.1, 0.1)) / 11


@pytest.mark.parametrize('iou_thr', [0.3, 0.5, 0.75])
def test_random_images_against_the_rules_read_one_by_one(iou_thr):
    rng = np.random.default_rng(7)
    images, samples = [], []
    for i in range(6):
        places = rng.uniform(0, 60, 8)
        difficult = rng.random(8) < 0.3
        found = [(float(x), float(score)) for x, score in
                 zip(rng.choice(places, 20) + rng.normal(0, 2, 20), rng.random(20).astype(np.float32), strict=True)]
        objects = [square(x) for x in places]
        samples.append(sample([one for one, hard in zip(objects, difficult, strict=True) if not hard], found,
                              [one for one, hard in zip(objects, difficult, strict=True) if hard], name=str(i)))
        order = np.argsort(difficult, kind='stable')
        corners = np.array([corners for corners, _ in objects], np.float32).astype(float)[order]
        boxes = np.array([square(np.float32(x))[0] for x, _ in found], np.float64)
        images.append((corners, difficult[order], boxes, np.array([score for _, score in found])))
    expected = devkit_ap(images, iou_thr)
    assert 0.05 < expected < 0.95
    assert evaluate(*samples, iou_thr=iou_thr)['mAP'] == pytest.approx(per_cent(expected), abs=0.011)


def test_results_travel_between_processes():
    built = metric()
    built.process({}, [sample([square(0)], [(0, 0.9)]).to_dict()])
    images = pickle.loads(pickle.dumps(built.results))  # noqa: S301  our own
    assert built.compute_metrics(images)['mAP'] == 100


def test_detections_are_kept_in_a_file(tmp_path):
    path = tmp_path / 'new' / 'found.npz'
    near = float(np.nextafter(np.float32(0.9), np.float32(1)))
    evaluate(sample([square(0)], [(0, near), (3, 0.2, 2)], difficult=[square(7)]), sample([], [], name='b'),
             out_file=str(path))
    images, classes = load_detections(path)
    assert tuple(classes) == CLASSES
    assert [image.name for image in images] == ['P1', 'b']
    assert images[0].scores.tolist() == [near, float(np.float32(0.2))]
    assert images[0].labels.tolist() == [0, 2]
    assert images[0].difficult.tolist() == [False, True]
    assert images[0].path == 'images/P1.png'
    assert images[1].polygons.shape == (0, 8)
    assert [entry.name for entry in path.parent.iterdir()] == ['found.npz']


def test_another_file_holds_no_detections(tmp_path):
    path = tmp_path / 'x.npz'
    np.savez(path, classes=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r'x\.npz holds no detections as out_file of s5_mm\.RotatedMAP writes them'):
        load_detections(path)


def test_a_label_that_is_no_class_is_an_error():
    with pytest.raises(ValueError, match=r'image P1 has a box of the label 3, the dataset has the classes 0\.\.2'):
        evaluate(sample([square(0)], [(0, 0.9, 3)]))


@pytest.mark.parametrize(('option', 'message'), [
    (dict(iou_thr=1.0), r'iou_thr is 1\.0; it must be in \[0, 1\)'),
    (dict(eval_mode='12points'), "eval_mode is '12points'; choose one of 11points, area"),
    (dict(out_file='found.pkl'), r'out_file is found\.pkl; detections are kept in a file \*\.npz'),
])
def test_impossible_options(option, message):
    with pytest.raises(ValueError, match=message):
        RotatedMAP(**option)

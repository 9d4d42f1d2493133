"""Mean IoU by hand."""
import math

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from PIL import Image

from s5_mm.evaluation import S5IoUMetric
from s5_mm.registry import METRICS

CLASSES = ('background', 'ship', 'plane', 'bridge')


def metric(excluded=('background', ), classes=CLASSES, iou_metrics=('mIoU', ), **kwargs):
    cfg = dict(type='s5_mm.S5IoUMetric', iou_metrics=list(iou_metrics), excluded=excluded, **kwargs)
    built = METRICS.build(cfg)
    built.dataset_meta = dict(classes=classes)
    return built


def pixels(truth, prediction, path='a/x.png'):
    def data(ids):
        return dict(data=torch.tensor([[ids]]))
    return dict(gt_sem_seg=data(truth), pred_sem_seg=data(prediction), img_path=path)


def evaluate(built, *images):
    for image in images:
        built.process({}, [image])
    return built.evaluate(len(images))


# Truth and prediction of two images; 255 is ignored, no bridge anywhere.
# background: 2 hit of 3 true and 3 predicted: 2 / 4; ship: 2 of 3 and 2: 2 / 3; plane: 2 of 2 and 3: 2 / 3.
IMAGES = (pixels([0, 0, 1, 1, 255], [0, 2, 1, 0, 1]), pixels([0, 1, 2, 2, 255], [0, 1, 2, 2, 3]))


def test_background_is_left_out_of_the_mean():
    values = evaluate(metric(), *IMAGES)
    assert values['mIoU'] == pytest.approx(66.67)
    assert values['mAcc'] == pytest.approx(round((2 / 3 + 1) / 2 * 100, 2))
    assert values['aAcc'] == pytest.approx(75)


def test_all_classes():
    assert evaluate(metric(excluded=()), *IMAGES)['mIoU'] == pytest.approx(round((1 / 2 + 2 / 3 + 2 / 3) / 3 * 100, 2))


def test_value_of_each_class():
    values = evaluate(metric(), *IMAGES)
    assert [values[f'IoU.{name}'] for name in CLASSES[:3]] == [50, 66.67, 66.67]
    assert math.isnan(values['IoU.bridge'])


def test_class_that_is_only_predicted_counts_as_0():
    values = evaluate(metric(), pixels([0, 1], [3, 1]))
    assert values['IoU.bridge'] == 0
    assert values['mIoU'] == 50


def test_nothing_but_background_says_so(monkeypatch):
    lines = []
    monkeypatch.setattr('s5_mm.evaluation.iou_metric.print_log', lambda text, *args, **kwargs: lines.append(text))
    assert evaluate(metric(), pixels([0, 0], [0, 0]))['mIoU'] == 0
    assert 'No pixel of a class that is not excluded' in lines[0]


def test_an_all_ignored_image_changes_nothing():
    ignored = pixels([255, 255], [1, 2])
    assert evaluate(metric(), *IMAGES, ignored) == pytest.approx(evaluate(metric(), *IMAGES), nan_ok=True)


def test_nothing_but_ignored_pixels_gives_no_nan_in_means():
    built = metric(excluded=(), iou_metrics=['mIoU', 'mFscore'])
    values = evaluate(built, pixels([255, 255], [1, 2]))
    assert {name: value for name, value in values.items() if '.' not in name} == dict.fromkeys(
        ('aAcc', 'mIoU', 'mAcc', 'mFscore', 'mPrecision', 'mRecall'), 0.0)


def test_several_excluded():
    assert evaluate(metric(excluded=('background', 'plane')), *IMAGES)['mIoU'] == 66.67
    assert evaluate(metric(excluded=('ship', 'plane')), *IMAGES)['mIoU'] == 50


def test_other_metrics():
    built = METRICS.build(dict(type='s5_mm.S5IoUMetric', iou_metrics=['mFscore', 'mIoU'], excluded=('background', )))
    built.dataset_meta = dict(classes=CLASSES)
    values = evaluate(built, *IMAGES)
    assert values['mFscore'] == 80
    assert values['mPrecision'] == pytest.approx(round((1 + 2 / 3) / 2 * 100, 2))
    assert values['mIoU'] == pytest.approx(66.67)
    assert values['Fscore.ship'] == 80
    assert values['Acc.ship'] == 66.67


def test_f_score_of_a_class_that_is_missed_or_made_up_is_0():
    """2 * 2 / (3 + 3) for background, 0 in truth alone, 0 in prediction alone; bridge nowhere."""
    built = metric(excluded=(), iou_metrics=['mFscore'])
    values = evaluate(built, pixels([0, 1, 255], [0, 0, 1]), pixels([0, 0], [0, 2]))
    assert [values[f'Fscore.{name}'] for name in CLASSES[:3]] == [66.67, 0, 0]
    assert math.isnan(values['Fscore.bridge'])
    assert values['mFscore'] == pytest.approx(22.22)


def test_nan_to_num_reaches_the_f_score():
    built = metric(excluded=(), iou_metrics=['mFscore'], nan_to_num=0)
    assert evaluate(built, pixels([0], [0]))['mFscore'] == 25


def test_sums_of_many_images_are_exact():
    """One wrong pixel an image must not be lost beside 2**26 right ones."""
    def areas(hit, wrong):
        return tuple(torch.tensor([hit, 0.0]) + torch.tensor([wrong, 0.0]) * factor for factor in (0, 1, 0, 1))
    results = [areas(2.0**26, 0.0)] + [areas(0.0, 1.0)] * 2**14
    built = metric(excluded=(), classes=('a', 'b'))
    assert built.compute_metrics(results)['IoU.a'] == round(100 * 2**26 / (2**26 + 2**14), 2) == 99.98


def test_unknown_class_is_an_error_before_anything_is_evaluated():
    """The loop hands the classes to its evaluator when it is built."""
    built = S5IoUMetric(iou_metrics=['mIoU'], excluded=('Background', 'ship'))
    with pytest.raises(ValueError, match=r"excluded class \['Background'\] is not a class of the dataset, which has "
                       r"\['background', 'ship'"):
        Evaluator(built).dataset_meta = dict(classes=CLASSES)


def test_table_shows_all_classes_and_says_what_is_left_out(monkeypatch):
    lines = []
    for module in ('mmseg.evaluation.metrics.iou_metric', 's5_mm.evaluation.iou_metric'):
        monkeypatch.setattr(f'{module}.print_log', lambda text, *args, **kwargs: lines.append(text))
    evaluate(metric(), *IMAGES)
    assert all(name in '\n'.join(lines) for name in CLASSES)
    assert lines[-1] == 'excluded from the means: background'


def test_format_only_writes_class_ids(tmp_path):
    built = metric(format_only=True, output_dir=str(tmp_path))
    assert evaluate(built, IMAGES[0]) == {}
    assert np.array(Image.open(tmp_path / 'x.png')).flatten().tolist() == [0, 2, 1, 0, 1]

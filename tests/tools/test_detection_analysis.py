"""Curves, confusion matrix and drawn detections from a file."""
import csv

import numpy as np
import pytest
from PIL import Image

from s5_mm.analysis.detections import RIGHT, WRONG, confusion_matrix, curves, draw_verdicts, judge_image, plot_curves
from s5_mm.evaluation import DetectedImage
from s5_mm.evaluation.detection_file import save_detections

CLASSES = ('ship', 'plane', 'bridge')


def squares(*lefts):
    """Squares of side 10; shifted by d they overlap by (10 - d) / (10 + d)."""
    return np.array([[x, 5, x + 10, 5, x + 10, 15, x, 15] for x in lefts], np.float64).reshape(-1, 8)


@pytest.fixture
def image():
    """Ships at 0 and 40, a plane at 80, a difficult ship at 120, and six detections, see the confusion matrix."""
    return DetectedImage(
        name='P1', path='',
        polygons=squares(0, 1, 40, 160, 120, 80),
        scores=np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.2]),
        labels=np.array([0, 0, 1, 2, 0, 1]),
        true_polygons=squares(0, 40, 80, 120),
        true_labels=np.array([0, 0, 1, 0]),
        difficult=np.array([False, False, False, True]))


EXPECTED = [
    [1, 1, 0, 0],  # of two ships one is found, one is found as a plane
    [0, 0, 0, 1],  # the plane's detection has a low score
    [0, 0, 0, 0],
    [1, 0, 1, 0],  # a duplicate, a bridge of nothing; the difficult ship's counts neither way
]


def test_confusion_matrix_by_hand(image):
    assert confusion_matrix([image], 3).tolist() == EXPECTED
    twice = confusion_matrix([image, image], 3, score_thr=0.1)
    assert twice.tolist() == [[2, 2, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0], [2, 0, 2, 0]]


def test_a_detection_takes_the_object_that_is_still_free(image):
    """Two ships at 0 and 4, two detections at 2: unlike in the metric, both find one."""
    near = DetectedImage('P1', squares(2, 2), np.array([0.9, 0.8]), np.zeros(2, int), squares(0, 4), np.zeros(2, int),
                         np.zeros(2, bool))
    verdict = judge_image(near)
    assert verdict.objects.tolist() == [0, 1]
    assert not verdict.missed.any()


def test_drawn_verdicts_follow_the_metric(image):
    drawn = draw_verdicts(np.zeros((40, 200, 3), np.uint8), image)

    def color(x):
        return drawn[:20, x - 1:x + 2].reshape(-1, 3).max(axis=0)
    assert color(5)[1] > 150
    assert color(165)[0] > 150
    assert color(165)[1] < 60
    assert drawn.shape[0] > 40
    assert (drawn[40:] == RIGHT).all(axis=-1).any()
    assert (drawn[40:] == WRONG).all(axis=-1).any()


def test_curves_of_classes_without_detections_or_objects(image):
    found = curves([image], 3)
    assert [curve.num_objects for curve in found] == [2, 1, 0]
    assert found[0].recall.tolist() == [0.5, 0.5, 0.5]
    assert found[0].precision.tolist() == [1, 0.5, 0.5]
    figure = plot_curves(found, CLASSES)
    assert [line.get_label() for line in figure.axes[0].lines] == ['ship 54.5', 'plane 50.0']
    assert len(plot_curves(curves([], 3), CLASSES).axes[0].lines) == 0


def test_command(image, load_tool, tmp_path, capsys):
    Image.new('RGB', (200, 40)).save(tmp_path / 'P1.png')
    save_detections(tmp_path / 'found.npz', [image], CLASSES)
    tool = load_tool('tools/analysis/detections.py')
    tool.main([str(tmp_path / 'found.npz'), '--out', str(tmp_path / 'out'), '--images', str(tmp_path)])
    assert 'ship' in capsys.readouterr().out
    with (tmp_path / 'out/confusion.csv').open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['true / detected', *CLASSES, 'nothing']
    assert [[int(number) for number in row[1:]] for row in rows[1:]] == EXPECTED
    for name in ('pr_curves.png', 'confusion.png', 'drawn/P1.png'):
        with Image.open(tmp_path / 'out' / name) as picture:
            assert picture.size[0] >= 200


def test_a_missing_image_is_an_error(image, load_tool, tmp_path):
    save_detections(tmp_path / 'found.npz', [image], CLASSES)
    arguments = [str(tmp_path / 'found.npz'), '--out', str(tmp_path / 'out')]
    tool = load_tool('tools/analysis/detections.py')
    with pytest.raises(FileNotFoundError, match='image P1 was not found in None; give the folder of the images with'):
        tool.main(arguments)
    tool.main([*arguments, '--draw', '0'])
    assert (tmp_path / 'out/pr_curves.png').is_file()

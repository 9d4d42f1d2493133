"""Overlaps of polygons by hand."""
import numpy as np
import pytest
import torch
from mmrotate.structures.bbox import RotatedBoxes, qbox2rbox
from overlaps import polygon_iou

from s5_mm.evaluation import as_polygons, overlapping_pairs

SQUARE = np.array([[0.0, 0, 10, 0, 10, 10, 0, 10]])


def random_boxes(number, seed=0):
    """(N, 5) rotated boxes all over a large image."""
    rng = np.random.default_rng(seed)
    return np.stack([*rng.uniform(0, 4000, (2, number)), *rng.uniform(8, 200, (2, number)),
                     rng.uniform(-np.pi / 2, np.pi / 2, number)], axis=1)


@pytest.mark.parametrize(('shift', 'iou'), [(0, 1), (2, 8 / 12), (5, 5 / 15), (10, 0), (11, 0)])
def test_shifted_squares(shift, iou):
    assert polygon_iou(SQUARE, SQUARE + [[shift, 0] * 4])[0, 0] == pytest.approx(iou)


def test_a_square_and_itself_turned_by_45_degrees():
    """The common octagon has an area of 200 (sqrt 2 - 1), each square one of 100."""
    turned = as_polygons(np.array([[5, 5, 10, 10, np.pi / 4]]))
    common = 200 * (np.sqrt(2) - 1)
    assert polygon_iou(SQUARE, turned)[0, 0] == pytest.approx(common / (200 - common))


def test_rotated_box_has_its_angle_clockwise_in_the_image():
    corners = as_polygons(np.array([[0, 0, 4, 2, np.pi / 2]])).reshape(4, 2)
    assert corners.min(axis=0) == pytest.approx([-1, -2])
    long_side = as_polygons(np.array([[0, 0, 2, 0, np.pi / 4]])).reshape(4, 2)
    assert long_side[0] == pytest.approx([np.sqrt(0.5)] * 2)


def test_nearly_coincident_boxes():
    """Corners of float32 rotated boxes read back as rotated boxes: mmcv has such pairs below 0.5."""
    boxes = as_polygons(torch.tensor(random_boxes(300)).float())
    again = as_polygons(qbox2rbox(torch.tensor(boxes).float()))
    assert np.diagonal(polygon_iou(boxes, again)).min() > 0.999
    assert np.diagonal(polygon_iou(boxes, boxes)).min() > 1 - 1e-12


def test_boxes_shifted_by_a_quarter_along_their_own_axis():
    """Edges on one line, where float32 clipping fails; 0.75 / 1.25."""
    boxes = random_boxes(300)
    direction = np.stack([np.cos(boxes[:, 4]), np.sin(boxes[:, 4])], axis=1)
    shifted = boxes.copy()
    shifted[:, :2] += boxes[:, 2:3] / 4 * direction
    assert np.diagonal(polygon_iou(as_polygons(boxes), as_polygons(shifted))) == pytest.approx(0.6)


def test_crossing_sides_are_the_convex_hull():
    crossed = SQUARE[:, [0, 1, 4, 5, 2, 3, 6, 7]]
    assert polygon_iou(crossed, SQUARE)[0, 0] == 1


def test_no_area_and_no_number_overlap_nothing():
    line = SQUARE * [[1, 0] * 4]
    none = np.full((1, 8), np.nan)
    huge = SQUARE + [[np.inf, 0] * 4]
    assert polygon_iou(np.concatenate([line, none, huge, SQUARE]), SQUARE)[:, 0].tolist() == [0, 0, 0, 1]
    assert polygon_iou(SQUARE, np.concatenate([line, none, huge])).tolist() == [[0, 0, 0]]


def test_empty_lists():
    assert polygon_iou(np.zeros((0, 8)), SQUARE).shape == (0, 1)
    assert polygon_iou(SQUARE, np.zeros((0, 8))).shape == (1, 0)


def test_pairs_above_a_number_are_those_of_the_whole_table():
    polygons = as_polygons(random_boxes(150) * [0.1, 0.1, 1, 1, 1])
    table = polygon_iou(polygons, polygons)
    pairs = overlapping_pairs(polygons, above=0.3)
    expected = np.argwhere(np.triu(table > 0.3, k=1))
    assert len(expected) > 100
    assert np.stack([pairs.first, pairs.second], axis=1).tolist() == expected.tolist()
    assert pairs.iou == pytest.approx(table[tuple(expected.T)])


def test_box_structures_and_forms():
    assert as_polygons(RotatedBoxes(torch.zeros(2, 5))).shape == (2, 8)
    with pytest.raises(ValueError, match=r'boxes have the shape \(3, 4\); rotated boxes are \(N, 5\)'):
        as_polygons(np.zeros((3, 4)))

"""Suppression against the definition, box by box."""
import numpy as np
import pytest
import torch

from s5_mm import ops
from s5_mm.ops import rotated_nms


def one_by_one(boxes, scores, threshold, labels=None):
    """The definition."""
    iou, kept = ops.box_iou_rotated(boxes, boxes), []
    for box in scores.argsort(descending=True, stable=True).tolist():
        others = [one for one in kept if labels is None or labels[one] == labels[box]]
        if not (iou[box, others] > threshold).any():
            kept.append(box)
    return kept


@pytest.fixture(scope='module')
def scene():
    """Boxes (120, 5) close together, scores with equal ones among them, and labels."""
    rng = np.random.default_rng(0)
    boxes = torch.tensor(rng.uniform([0, 0, 5, 5, -2], [100, 100, 60, 60, 2], (120, 5)))
    return boxes, torch.tensor(rng.integers(0, 40, 120) / 40), torch.tensor(rng.integers(0, 3, 120))


@pytest.mark.parametrize('block', [1, 256])
@pytest.mark.parametrize('threshold', [0.0, 0.1, 0.5, 1.0])
def test_definition(scene, monkeypatch, block, threshold):
    boxes, scores, labels = scene
    monkeypatch.setattr(rotated_nms, 'BLOCK', block)
    expected = one_by_one(boxes, scores, threshold)
    assert ops.nms_rotated(boxes, scores, threshold).tolist() == expected
    assert ops.nms_rotated(ops.corners_of(boxes), scores, threshold).tolist() == expected
    of_classes = ops.nms_rotated(boxes, scores, threshold, labels).tolist()
    assert of_classes == one_by_one(boxes, scores, threshold, labels)
    assert threshold == 1 or len(expected) < len(of_classes) < 120


def test_a_long_chain():
    """Each overlaps its neighbors alone: every second one stays."""
    boxes = torch.tensor([[6.0 * i, 0, 10, 10, 0] for i in range(101)])
    assert ops.nms_rotated(boxes, -torch.arange(101.0), 0.1).tolist() == list(range(0, 101, 2))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_types(scene, dtype):
    boxes, scores = scene[0].to(dtype), scene[1].to(dtype)
    assert ops.nms_rotated(boxes, scores, 0.3).tolist() == one_by_one(boxes, scores, 0.3)


def test_boxes_without_area_stay_and_suppress_nothing():
    boxes = torch.tensor([[5.0, 5, 0, 10, 0], [5, 5, 10, 10, 0], [torch.nan, 5, 10, 10, 0]])
    assert ops.nms_rotated(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.1).tolist() == [0, 1, 2]
    assert ops.nms_rotated(boxes[:0], torch.zeros(0), 0.1).tolist() == []

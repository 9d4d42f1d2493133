"""Boxes and pasting."""
import numpy as np
import pytest
import torch

from s5_mm.models import CutMix


def bounds(box):
    rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


@pytest.mark.parametrize(('height', 'width'), [(128, 128), (96, 192)])
def test_boxes_are_rectangles_within_the_ranges(height, width):
    np.random.seed(0)
    areas, aspects = [], []
    for box in CutMix(prob=1.0).boxes(500, height, width).numpy():
        top, bottom, left, right = bounds(box)
        assert box.sum() == (bottom - top) * (right - left)
        areas.append(box.sum() / (height * width))
        aspects.append((bottom - top) / (right - left))
    # Sides are rounded down: by less than a pixel, of at least 8.
    assert min(areas) > 0.02 * (1 - 1 / 8)**2
    assert max(areas) <= 0.4
    assert min(areas) < 0.04
    assert max(areas) > 0.36
    assert min(aspects) > 0.3 * (1 - 1 / 8)
    assert max(aspects) < 1 / 0.3 / (1 - 1 / 8)
    assert min(aspects) < 0.5
    assert max(aspects) > 2


def test_boxes_are_higher_than_wide_if_the_aspect_says_so():
    np.random.seed(0)
    boxes = CutMix(prob=1.0, aspect=(1.0, 3.0)).boxes(100, 64, 64)
    heights, widths = boxes.any(2).sum(1), boxes.any(1).sum(1)
    # The root of the aspect, whose mean is 2, is the expected ratio of height and root of the area.
    assert 1.5 < heights.float().mean() / widths.float().mean() < 2.3


def test_boxes_lie_anywhere():
    np.random.seed(0)
    share = CutMix(prob=1.0).boxes(500, 64, 64).float().mean(dim=0)
    assert share[32, 32] > 0.2
    assert min(edge.max() for edge in (share[0], share[-1], share[:, 0], share[:, -1])) > 0


def test_share_of_mixed_images():
    np.random.seed(0)
    assert not CutMix(prob=0.0).boxes(50, 32, 32).any()
    mixed = CutMix(prob=0.5).boxes(1000, 32, 32).flatten(1).any(dim=1).float().mean()
    assert abs(mixed - 0.5) < 0.05


def test_boxes_follow_the_seed():
    def draw(seed):
        np.random.seed(seed)
        return CutMix().boxes(8, 32, 32)
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_partner_is_taken_inside_the_box():
    box = torch.tensor([[[True, False], [False, False]], [[False, False], [False, True]]])
    x, partner = torch.zeros(2, 2, 2), torch.ones(2, 2, 2)
    assert CutMix.mix(x, partner, box).tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 1]]]
    images = CutMix.mix(x[:, None].expand(2, 3, 2, 2), partner[:, None].expand(2, 3, 2, 2), box)
    assert images.shape == (2, 3, 2, 2)
    assert all(torch.equal(images[:, channel], box.float()) for channel in range(3))


@pytest.mark.parametrize(('options', 'message'), [
    (dict(prob=1.5), r'prob is 1.5, it must lie in \[0, 1\]'),
    (dict(area=(0.4, 0.02)), r'area is \(0.4, 0.02\), it must be \(smallest, largest\)'),
    (dict(area=(0.1, 1.0)), 'area is'),
    (dict(aspect=(0.0, 2.0)), r'aspect is \(0.0, 2.0\), it must be \(smallest, largest\) around 1'),
    (dict(aspect=(2.0, 3.0)), 'aspect is'),
])
def test_options(options, message):
    with pytest.raises(ValueError, match=message):
        CutMix(**options)


def test_an_image_that_no_box_fits_into_is_an_error():
    with pytest.raises(ValueError, match=r'no box of area .* fits into 4x400 px; widen aspect'):
        CutMix(prob=1.0).boxes(1, 400, 4)

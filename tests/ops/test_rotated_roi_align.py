"""RoIAlignRotated against torchvision's RoIAlign, the definition and the numerical gradient."""
import math

import pytest
import torch
from torchvision.ops import roi_align

from s5_mm.ops import roi_align_rotated, rotated_roi_align

SHAPE = (2, 3, 20, 30)
"""Of the maps, whose pixels are 4 px of the image."""


@pytest.fixture
def maps():
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()


def upright(number=40):
    """RoIs (K, 5): image, x1, y1, x2, y2, of at least a pixel of the map; some of them reach out of the image."""
    unit = torch.rand(number, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left_top = unit[:, 1:3] * torch.tensor([120, 80]) - 10
    return torch.cat([(2 * unit[:, :1]).floor(), left_top, left_top + 4 + unit[:, 3:] * 60], 1)


def rotated(rois, angle=0.0):
    """The same as (K, 6)."""
    corners = rois[:, 1:]
    return torch.cat([rois[:, :1], (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2],
                      torch.full_like(rois[:, :1], angle)], 1)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 1, 2, 3])
@pytest.mark.parametrize('size', [(7, 7), (2, 5)])
def test_without_an_angle_it_is_roi_align(maps, size, sampling_ratio, aligned):
    rois = upright()
    gradient = torch.randn(len(rois), SHAPE[1], *size, dtype=torch.float64)
    expected = roi_align(maps, rois, size, 0.25, sampling_ratio, aligned)
    found = roi_align_rotated(maps, rotated(rois), size, 0.25, sampling_ratio, aligned)
    assert torch.allclose(found, expected, atol=1e-12)
    gradients = (torch.autograd.grad(features, maps, gradient)[0] for features in (found, expected))
    assert torch.allclose(*gradients, atol=1e-12)


def test_small_rois_of_old_models_are_a_pixel_of_the_map(maps):
    """Only where coordinates are not aligned; the center and the angle stay."""
    small = torch.tensor([[1, 42.0, 31, 1, 2, 0.3]], dtype=torch.float64)
    enlarged = torch.tensor([[1, 42.0, 31, 4, 4, 0.3]], dtype=torch.float64)
    for aligned in (True, False):
        found, expected = (roi_align_rotated(maps, rois, (2, 2), 0.25, 2, aligned) for rois in (small, enlarged))
        assert torch.equal(found, expected) != aligned


@pytest.mark.parametrize('clockwise', [True, False])
def test_bins_of_a_slope_tell_where_they_are(clockwise):
    """Interpolation and means of a map whose values are its coordinates give the coordinates of the bins' centers."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing='ij')
    angle, width, height = 0.6, 12.0, 8.0
    roi = torch.tensor([[0, 25.5, 20.5, width, height, angle]])
    found_x, found_y = roi_align_rotated(torch.stack([x, y])[None], roi, (2, 3), 1.0, 2, True, clockwise)[0]
    along = (torch.arange(3) - 1) * width / 3
    across = (torch.arange(2) - 0.5)[:, None] * height / 2
    # Clockwise in an image, whose y points down, is the usual rotation.
    turn = angle if clockwise else -angle
    assert torch.allclose(found_x, 25 + along * math.cos(turn) - across * math.sin(turn), atol=1e-5)
    assert torch.allclose(found_y, 20 + along * math.sin(turn) + across * math.cos(turn), atol=1e-5)


@pytest.mark.parametrize(('sampling_ratio', 'aligned'), [(0, True), (2, False)])
def test_gradient(sampling_ratio, aligned):
    maps = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 10.0, 8, 12, 6, 0.3], [1, 4, 14, 30, 9, -1], [1, 20, 5, 3, 8, 2]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: roi_align_rotated(x, rois, (2, 3), 0.25, sampling_ratio, aligned, True), maps)


def test_layouts_and_parts(maps, monkeypatch):
    rois = rotated(upright(), 0.7)
    expected = roi_align_rotated(maps, rois, (3, 3), 0.25)
    gradient = torch.randn_like(expected)
    of_maps, = torch.autograd.grad(expected, maps, gradient)
    monkeypatch.setattr(rotated_roi_align, 'ENTRIES', 1000)
    other = maps.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    found = roi_align_rotated(other, rois.T.contiguous().T, (3, 3), 0.25)
    assert torch.equal(found, expected)
    found, = torch.autograd.grad(found, other, gradient.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(found, of_maps, atol=1e-12)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_types(maps, dtype):
    """Sums have the digits of float32, and coordinates those that the RoIs came with."""
    few = maps.detach().to(dtype).requires_grad_()
    rois = rotated(upright(), 0.7).float()
    found = roi_align_rotated(few, rois, (3, 3), 0.25)
    expected = roi_align_rotated(few.double(), rois, (3, 3), 0.25)
    assert found.dtype == dtype
    assert torch.allclose(found.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-5)
    assert torch.autograd.grad(found.sum(), few)[0].dtype == dtype


def test_strange_rois(maps):
    """No RoI; and one that training which diverges may give."""
    rois = rotated(upright(2))
    none = roi_align_rotated(maps, rois[:0], (2, 3), 0.25)
    assert none.shape == (0, 3, 2, 3)
    assert torch.autograd.grad(none.sum(), maps)[0].count_nonzero() == 0
    for column, value in ((2, torch.nan), (3, torch.nan), (4, torch.inf), (5, torch.nan)):
        strange = rois.clone()
        strange[0, column] = value
        for sampling_ratio in (0, 2):
            found = roi_align_rotated(maps, strange, (2, 3), 0.25, sampling_ratio)
            assert found[0].count_nonzero() == 0
            assert found[1].count_nonzero() > 0

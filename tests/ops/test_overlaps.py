"""Overlaps of rotated boxes against shapely, and against the published figures of mmcv's own test."""
import numpy as np
import pytest
import shapely
import torch

from s5_mm import ops
from s5_mm.ops import overlaps

# The boxes of mmcv's tests/test_ops/test_box_iou_rotated.py and the table that it expects.
BOXES = torch.tensor([[1.0, 1, 3, 4, 0.5], [2, 2, 3, 4, 0.6], [7, 7, 8, 8, 0.4]])
OTHERS = torch.tensor([[0.0, 2, 2, 5, 0.3], [2, 1, 3, 3, 0.5], [5, 5, 6, 7, 0.4]])
IOU = torch.tensor([[0.3708, 0.4351, 0], [0.1104, 0.4487, 0.0424], [0, 0, 0.3622]])
IOF = torch.tensor([[0.4959, 0.5306, 0], [0.1823, 0.5420, 0.1832], [0, 0, 0.4404]])


@pytest.fixture(scope='module')
def benchmark(load_tool):
    return load_tool('benchmarks/rotated_ops.py')


def test_pairs_of_all_kinds_are_those_of_shapely(benchmark):
    """100,000 of each kind are compared by the benchmark with ``--exact 100000``."""
    kinds = benchmark.kinds_of_pairs(500, torch.Generator().manual_seed(1))
    assert len(kinds) == 12
    for kind, pairs in kinds.items():
        assert benchmark.largest_difference(*pairs) < 1e-9, kind
    assert (ops.box_iou_rotated(*kinds['anywhere'], aligned=True) > 0).double().mean() > 0.2


@pytest.mark.parametrize(('mode', 'expected'), [('iou', IOU), ('iof', IOF)])
def test_figures_of_mmcv(mode, expected):
    assert torch.allclose(ops.box_iou_rotated(BOXES, OTHERS, mode), expected, atol=1e-4)
    assert torch.allclose(ops.box_iou_rotated(BOXES, OTHERS, mode, aligned=True), expected.diagonal(), atol=1e-4)
    corners = ops.corners_of(BOXES)
    assert torch.allclose(ops.box_iou_rotated(corners, OTHERS, mode), expected.double(), atol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types(dtype):
    """Halves are read as they are, and an IoU has the digits of float32 all the same."""
    boxes, others = BOXES.to(dtype), OTHERS.to(dtype)
    found = ops.box_iou_rotated(boxes, others)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.allclose(found.double(), ops.box_iou_rotated(boxes.double(), others.double()), atol=1e-7)


def test_layouts():
    wide = torch.full((3, 10), 1e3)
    wide[:, ::2] = BOXES
    expected = ops.box_iou_rotated(BOXES, OTHERS)
    assert torch.equal(ops.box_iou_rotated(wide[:, ::2], OTHERS.T.contiguous().T), expected)


def test_boxes_that_overlap_nothing():
    strange = torch.tensor([[1.0, 1, 0, 4, 0], [1, 1, -3, 4, 0], [1, 1, -3, -4, 0], [torch.nan, 1, 3, 4, 0],
                            [1, 1, torch.inf, 4, 0]])
    assert ops.box_iou_rotated(strange, BOXES).count_nonzero() == 0
    assert ops.box_iou_rotated(BOXES, strange, 'iof').count_nonzero() == 0
    assert ops.box_iou_rotated(strange, strange, aligned=True).count_nonzero() == 0


def test_no_boxes():
    none = BOXES[:0]
    assert ops.box_iou_rotated(none, BOXES).shape == (0, 3)
    assert ops.box_iou_rotated(BOXES, none).shape == (3, 0)
    assert ops.box_iou_rotated(none, none, aligned=True).shape == (0, )
    assert len(ops.overlapping_pairs(none).first) == 0


def test_a_concave_quadrilateral():
    """Two triangles, (0, 0) (4, 0) (3, 1) and (4, 0) (4, 4) (3, 1), of the area 2 each."""
    arrow = torch.tensor([[0.0, 0, 4, 0, 4, 4, 3, 1]], dtype=torch.float64)
    square = torch.tensor([[0.0, 0, 4, 0, 4, 4, 0, 4]], dtype=torch.float64)
    corner = torch.tensor([[3.5, 0.5, 1, 1, 0]], dtype=torch.float64)
    assert ops.box_iou_rotated(arrow, square).item() == pytest.approx(4 / 16)
    assert ops.box_iou_rotated(square, arrow).item() == pytest.approx(4 / 16)
    # The square from (3, 0) to (4, 1) belongs to it entirely.
    assert ops.box_iou_rotated(corner, arrow, 'iof').item() == pytest.approx(1)


@pytest.mark.parametrize('side', [5, 1000])
def test_quadrilaterals_of_all_kinds(side):
    """Concave ones; convex hulls where sides cross, touch or lie on each other, as many do on a grid of 6 x 6."""
    corners = np.random.default_rng(0).integers(0, side + 1, (2, 2000, 8)).astype(float)
    first, second = (shapely.polygons(some.reshape(-1, 4, 2)) for some in corners)
    for some in (first, second):
        some[:] = np.where(shapely.is_valid(some), some, shapely.convex_hull(some))
    assert not shapely.is_valid(shapely.polygons(corners[0].reshape(-1, 4, 2))).all()
    common = shapely.area(shapely.intersection(first, second))
    both = shapely.area(first) + shapely.area(second) - common
    found = ops.box_iou_rotated(*map(torch.tensor, corners), aligned=True)
    assert found.numpy() == pytest.approx(common / np.where(both > 0, both, 1), abs=1e-9)


def test_equal_overlaps_of_whole_numbers_are_equal():
    """The metric takes the first of several equal ones."""
    def square(left):
        return torch.tensor([[left, 5, left + 10, 5, left + 10, 15, left, 15]], dtype=torch.float64)
    iou = ops.box_iou_rotated(square(2), torch.cat([square(0), square(4)]))
    assert iou[0, 0] == iou[0, 1] == 8 / 12


def test_parts_make_no_difference(monkeypatch):
    rng = np.random.default_rng(0)
    boxes = torch.tensor(rng.uniform([0, 0, 5, 5, -2], [100, 100, 40, 40, 2], (60, 5)))
    table, pairs = ops.box_iou_rotated(boxes, boxes), ops.overlapping_pairs(boxes, above=0.1)
    monkeypatch.setattr(overlaps, 'CELLS', 200)
    monkeypatch.setattr(overlaps, 'PAIRS', 7)
    assert torch.equal(ops.box_iou_rotated(boxes, boxes), table)
    assert all(map(torch.equal, ops.overlapping_pairs(boxes, above=0.1), pairs))
    expected = (table.triu(1) > 0.1).nonzero()
    assert len(expected) > 100
    assert torch.equal(torch.stack(pairs[:2], 1), expected)


def test_bad_input():
    with pytest.raises(ValueError, match=r'boxes have the shape \(3, 4\); rotated boxes are \(N, 5\)'):
        ops.box_iou_rotated(BOXES[:, :4], OTHERS)
    with pytest.raises(ValueError, match="mode is 'giou'; choose 'iou' or 'iof'"):
        ops.box_iou_rotated(BOXES, OTHERS, 'giou')
    with pytest.raises(ValueError, match='compared one by one, but there are 3 and 2'):
        ops.box_iou_rotated(BOXES, OTHERS[:2], aligned=True)

"""Coders of rotated boxes and the RoI extractor, by hand and against mmrotate's."""
import math

import pytest
import torch
from mmrotate.models.roi_heads.roi_extractors import RotatedSingleRoIExtractor as MMRotateExtractor
from mmrotate.models.task_modules.coders import DeltaXYWHTRBBoxCoder as MMRotateCoder
from mmrotate.registry import TASK_UTILS as MMROTATE_TASK_UTILS
from mmrotate.structures.bbox import RotatedBoxes

from s5_mm.models import S5DeltaXYWHTRBBoxCoder, S5MidpointOffsetCoder, S5RotatedSingleRoIExtractor


class TestMidpointOffset:
    coder = S5MidpointOffsetCoder(target_stds=(1.0, 1.0, 1.0, 1.0, 0.5, 0.5), angle_version='le90')
    anchor = torch.tensor([[0.0, 0.0, 10.0, 20.0]])

    def decoded(self, *deltas, anchor=anchor):
        return self.coder.decode(anchor, torch.tensor([deltas]))

    def test_corners_in_the_middle_of_each_side(self):
        """Half diagonals (0, -10) and (5, 0); the second is made as long as the first."""
        corners = self.decoded(0, 0, 0, 0, 0, 0).convert_to('qbox').tensor.view(4, 2).round(decimals=3)
        assert {tuple(corner) for corner in corners.tolist()} == {(5, 0), (15, 10), (5, 20), (-5, 10)}

    def test_shifted_and_scaled(self):
        """Center (5 + 10, 10 - 10), sides 20 and 40; corners at (15 + 6, -20) and (25, -8), seen from the center
        (6, -20) and (10, -8), the second 20.881 / 12.806 times as long.
        """
        box = self.decoded(1, -0.5, math.log(2), math.log(2), 0.6, -0.4).tensor[0]
        long = math.hypot(6, 20)
        right = (10 * long / math.hypot(10, 8), -8 * long / math.hypot(10, 8))
        sides = [(right[0] - 6, right[1] + 20), (right[0] + 6, right[1] - 20)]
        assert box[:2].tolist() == pytest.approx([15, 0])
        assert box[2:4].tolist() == pytest.approx(sorted((math.hypot(*side) for side in sides), reverse=True))
        assert box[4].item() == pytest.approx(math.atan2(sides[1][1], sides[1][0]))

    def test_corners_that_meet_give_the_horizontal_box(self):
        """As the published decoder; mmrotate's gives a diagonal without area."""
        assert self.decoded(0, 0, 0, 0, 1.0, -1.0).tensor[0].tolist() == pytest.approx([5, 10, 20, 10, -math.pi / 2])
        assert self.decoded(0, 0, 0, 0, 7.0, -1.5).tensor[0, 2:4].tolist() == pytest.approx([20, 10])

    def test_corners_that_meet_elsewhere_give_a_diagonal(self):
        box = self.decoded(0, 0, 0, 0, -1.0, 1.0).tensor[0]
        assert box.tolist() == pytest.approx([5, 10, math.hypot(10, 20), 0, math.atan2(2, 1)], abs=1e-5)

    def test_equals_mmrotates_decoder(self, load_tool):
        """Over 10^5 random draws, outside of the published case; what differs is mmrotate's rounding."""
        figures = load_tool('benchmarks/midpoint_offset.py').compare(100_000, seed=0)
        apart = figures['max_corner_distance_px']
        assert apart['ours_mmrotate'] < 1e-2
        assert apart['ours_exact'] < 2.5e-3
        assert apart['ours_exact'] < apart['mmrotate_exact']
        assert figures['published_case_share'] == pytest.approx(0.1587**2, abs=0.002)
        assert figures['ratio'] > 2

    def test_encoded_boxes_come_back(self):
        boxes = torch.tensor([[30.0, 40.0, 25.0, 10.0, 0.4], [50.0, 20.0, 30.0, 8.0, -1.1]])
        anchors = torch.tensor([[20.0, 30.0, 44.0, 52.0], [40.0, 10.0, 60.0, 40.0]])
        deltas = self.coder.encode(anchors, RotatedBoxes(boxes.clone()))
        assert torch.allclose(self.coder.decode(anchors, deltas).tensor, boxes, atol=1e-3)

    def test_flat_boxes_have_finite_deltas(self):
        point = RotatedBoxes(torch.tensor([[5.0, 10.0, 0.0, 0.0, 0.2], [5.0, 10.0, 8.0, 0.0, 0.0]]))
        assert self.coder.encode(self.anchor.expand(2, 4), point).isfinite().all()

    def test_half_precision_and_no_boxes(self):
        assert self.coder.decode(self.anchor, torch.zeros(1, 6, dtype=torch.bfloat16)).tensor.dtype == torch.float32
        assert self.coder.decode(torch.zeros(0, 4), torch.zeros(0, 6)).tensor.shape == (0, 5)
        plain = S5MidpointOffsetCoder(use_box_type=False, angle_version='le90')
        assert isinstance(plain.decode(self.anchor, torch.zeros(1, 6)), torch.Tensor)


class TestDeltas:
    settings = dict(angle_version='le90', edge_swap=True, proj_xy=True, target_stds=(0.1, 0.1, 0.2, 0.2, 0.1))
    boxes = torch.tensor([[5.0, 5.0, 20.0, 10.0, 0.3], [60.0, 60.0, 20.0, 10.0, -1.5]])
    deltas = torch.tensor([[-6.0, 0.0, 0.5, -0.5, 1.0], [9.0, 2.0, -4.0, 4.0, -3.0]])

    def test_centers_may_lie_outside_of_the_image(self):
        """The first moves by -0.6 widths along its own axis: 5 - 12 cos 0.3 = -6.46; mmrotate's stops at 0."""
        ours, theirs = (kind(**self.settings).decode(self.boxes, self.deltas, max_shape=(64, 64)).tensor
                        for kind in (S5DeltaXYWHTRBBoxCoder, MMRotateCoder))
        assert ours[0, 0].item() == pytest.approx(5 - 12 * math.cos(0.3))
        assert theirs[0, 0] == 0
        assert torch.equal(ours[:, 2:], theirs[:, 2:])
        free = MMRotateCoder(**self.settings).decode(self.boxes, self.deltas).tensor
        assert torch.equal(ours, free)

    def test_flat_boxes_have_finite_deltas(self):
        """A side of 0 counts as 0.01 px: log(0.01 / 10) / 0.2; mmrotate's is infinite, and then all weights are NaN."""
        flat = torch.tensor([[5.0, 5.0, 20.0, 0.0, 0.3], [60.0, 60.0, 0.0, 0.0, -1.5]])
        boxes = RotatedBoxes(self.boxes)
        deltas = S5DeltaXYWHTRBBoxCoder(**self.settings).encode(boxes, RotatedBoxes(flat.clone()))
        assert deltas[0, 3].item() == pytest.approx(math.log(0.001) / 0.2, rel=1e-5)
        assert deltas.isfinite().all()
        assert S5DeltaXYWHTRBBoxCoder(**self.settings).encode(RotatedBoxes(flat), boxes).isfinite().all()
        assert not MMRotateCoder(**self.settings).encode(boxes, RotatedBoxes(flat.clone())).isfinite().all()

    def test_half_precision(self):
        coder = S5DeltaXYWHTRBBoxCoder(**self.settings)
        assert coder.decode(self.boxes, self.deltas.bfloat16()).tensor.dtype == torch.float32

    def test_hosts_find_the_coders(self):
        for kind in (S5DeltaXYWHTRBBoxCoder, S5MidpointOffsetCoder):
            coder = MMROTATE_TASK_UTILS.build(dict(type=f's5_mm.{kind.__name__}', angle_version='le90'))
            assert type(coder) is kind


class TestRoIExtractor:
    settings = dict(
        roi_layer=dict(type='RoIAlignRotated', out_size=7, sample_num=2, clockwise=True),
        out_channels=1,
        featmap_strides=[4, 8, 16, 32])

    @staticmethod
    def maps(values=(0, 1, 2, 3)):
        return [torch.full((1, 1, 512 // 2**i, 512 // 2**i), float(value)) for i, value in enumerate(values)]

    def test_the_margin_counts_for_the_level(self):
        """Level 1 begins at 112 px, and sqrt(1.2 * 100 * 1.4 * 100) = 129.6."""
        rois = torch.tensor([[0.0, 1000, 1000, 100, 100, 0.2], [0, 1000, 1000, 80, 80, 0.2]])
        ours, theirs = (kind(**self.settings)(self.maps(), rois) for kind in (
            S5RotatedSingleRoIExtractor, MMRotateExtractor))
        assert ours.mean(dim=(1, 2, 3)).tolist() == [1, 0]
        assert theirs.mean(dim=(1, 2, 3)).tolist() == [0, 0]

    def test_height_and_width_of_the_margin(self):
        rng = torch.Generator().manual_seed(0)
        maps = [torch.randn(level.shape, generator=rng) for level in self.maps()]
        rois = torch.tensor([[0.0, 900, 700, 50, 20, 0.4], [0, 300, 500, 300, 200, -1.0]])
        given = rois.clone()
        enlarged = rois * torch.tensor([1, 1, 1, 1.2, 1.4, 1])
        ours = S5RotatedSingleRoIExtractor(**self.settings)(maps, rois)
        assert torch.equal(ours, MMRotateExtractor(**self.settings)(maps, enlarged))
        assert torch.equal(rois, given)
        plain = S5RotatedSingleRoIExtractor(**self.settings, extend_factor=(1, 1))
        assert torch.equal(plain(maps, rois), MMRotateExtractor(**self.settings)(maps, rois))

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    def test_half_precision_keeps_coordinates(self, dtype):
        """A ramp along x: the mean over an RoI is its center's value, which bfloat16 would round to a multiple of 4."""
        ramp = torch.arange(512.0).expand(1, 1, 512, 512)
        rois = torch.tensor([[0.0, 1001.0, 1001.0, 16.0, 16.0, 0.0]])
        extractor, others = S5RotatedSingleRoIExtractor(**self.settings), self.maps()[1:]
        features = extractor([ramp.to(dtype), *others], rois)
        assert features.dtype == torch.float32
        exact = extractor([ramp.to(dtype).float(), *others], rois)
        assert torch.equal(features, exact)
        assert features.mean().item() == pytest.approx(1001 / 4 - 0.5, abs=0.6)

    @pytest.mark.parametrize('factor', [(1.4, 0), (1.4, ), (1, 2, 3)])
    def test_wrong_margin(self, factor):
        with pytest.raises(ValueError, match='extend_factor is .* give factors of height and width, each above 0'):
            S5RotatedSingleRoIExtractor(**self.settings, extend_factor=factor)

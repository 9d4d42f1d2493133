"""How mmdet and mmrotate come by the operators: by the module that mmcv calls."""
import sys
from types import SimpleNamespace

import mmcv.ops
import pytest
import torch
import torchvision
from mmdet.structures.bbox import HorizontalBoxes
from mmrotate.structures.bbox import RotatedBoxes, rbbox_overlaps

from s5_mm import ops
from s5_mm.ops import Operators, mmcv_operators, serve_mmcv


@pytest.fixture(params=['compiled', 'none'])
def served(request, monkeypatch):
    """What mmcv calls where it has compiled operators, and where it has none."""
    operators = serve_mmcv()
    if request.param == 'none':
        monkeypatch.setattr(operators, 'compiled', None)
    return operators


@pytest.fixture
def boxes():
    unit = torch.rand(60, 5, generator=torch.Generator().manual_seed(0))
    return unit * torch.tensor([100.0, 100, 30, 30, 3]) + torch.tensor([0.0, 0, 5, 5, -1.5])


def fake(cuda='12.8'):
    """A compiled module whose operators say where they come from."""
    return SimpleNamespace(get_compiling_cuda_version=lambda: cuda, nms_rotated=lambda *_: 'mmcv', deform='deform')


class TestCalledByMmcv:

    def test_overlaps(self, served, boxes):
        """Twins have IoU 1 here, and less than 1/2 now and then in mmcv."""
        assert torch.allclose(rbbox_overlaps(boxes, boxes).diagonal(), torch.ones(60))
        iof = mmcv.ops.box_iou_rotated(boxes, boxes[:9], mode='iof')
        assert torch.equal(iof, ops.box_iou_rotated(boxes, boxes[:9], 'iof'))
        corners = ops.corners_of(boxes).float()
        assert torch.allclose(mmcv.ops.box_iou_quadri(corners, corners[:9]), ops.box_iou_rotated(boxes, boxes[:9]),
                              atol=1e-5)
        assert RotatedBoxes(boxes).tensor.shape == (60, 5)

    def test_suppression(self, served, boxes):
        scores, labels = boxes[:, 0] / 100, torch.arange(60) % 3
        for given in (None, labels):
            expected = ops.nms_rotated(boxes, scores, 0.2, given)
            dets, kept = mmcv.ops.nms_rotated(boxes, scores, 0.2, given)
            assert kept.tolist() == expected.tolist()
            assert torch.equal(dets, torch.cat([boxes[kept], scores[kept, None]], 1))
            _, kept = mmcv.ops.nms_quadri(ops.corners_of(boxes).float(), scores, 0.2, given)
            assert kept.tolist() == expected.tolist()
        _, kept = mmcv.ops.batched_nms(boxes, scores, labels, dict(type='nms_rotated', iou_threshold=0.2))
        assert kept.tolist() == ops.nms_rotated(boxes, scores, 0.2, labels).tolist()

    def test_suppression_of_upright_boxes(self, served, boxes):
        upright, scores = RotatedBoxes(boxes).convert_to('hbox').tensor, boxes[:, 0] / 100
        assert HorizontalBoxes(upright).tensor.shape == (60, 4)
        _, kept = mmcv.ops.nms(upright, scores, 0.2)
        assert kept.tolist() == torchvision.ops.nms(upright, scores, 0.2).tolist()
        # Whole pixels: sides of 2 px that share one of 3 columns, 2 x 1 / (4 + 4 - 2).
        pixels = torch.tensor([[0.0, 0, 1, 1], [1, 0, 2, 1]])
        for offset, left in ((1, [0]), (0, [0, 1])):
            assert mmcv.ops.nms(pixels, torch.tensor([0.9, 0.8]), 0.3, offset=offset)[1].tolist() == left

    @pytest.mark.parametrize('rotated', [True, False])
    def test_features_of_rois(self, served, boxes, rotated):
        maps = torch.randn(2, 3, 25, 25, generator=torch.Generator().manual_seed(0)).requires_grad_()
        rois = boxes if rotated else RotatedBoxes(boxes).convert_to('hbox').tensor
        rois = torch.cat([torch.arange(60)[:, None] % 2, rois], 1)
        if rotated:
            layer = mmcv.ops.RoIAlignRotated((3, 2), 0.25, sampling_ratio=2, clockwise=True)
            expected = ops.roi_align_rotated(maps, rois, (3, 2), 0.25, 2, True, True)
        else:
            layer = mmcv.ops.RoIAlign((3, 2), 0.25, sampling_ratio=2)
            expected = torchvision.ops.roi_align(maps, rois, (3, 2), 0.25, 2, True)
        found = layer(maps, rois)
        assert torch.equal(found, expected)
        gradient = torch.randn_like(found)
        assert torch.allclose(*(torch.autograd.grad(one, maps, gradient)[0] for one in (found, expected)), atol=1e-5)

    def test_no_maxima(self, served, boxes):
        with pytest.raises(NotImplementedError, match="roi_align.*pool_mode='max'.*S5_MM_OPS=mmcv"):
            mmcv.ops.roi_align(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), 2, 1.0, 2, 'max')


class TestChoice:

    @pytest.mark.parametrize(('choice', 'compiled', 'on_cpu', 'on_cuda'), [
        ('', None, False, False), ('torch', None, False, False), ('', fake(), False, True),
        ('', fake('not available'), False, False), ('torch', fake(), False, False), ('mmcv', fake(), True, True)])
    def test_device(self, choice, compiled, on_cpu, on_cuda):
        operators = Operators(compiled, choice)
        assert operators.uses_mmcv(torch.device('cpu')) == on_cpu
        assert operators.uses_mmcv(torch.device('cuda')) == on_cuda

    def test_calls_go_there(self, boxes):
        arguments = (boxes, boxes[:, 0], None, None, None, 0.1, False)
        assert Operators(fake(), 'mmcv').nms_rotated(*arguments) == 'mmcv'
        assert len(Operators(fake(), 'torch').nms_rotated(*arguments))

    def test_it_is_logged_once_with_the_first_call(self, boxes, monkeypatch):
        told = []
        monkeypatch.setattr(mmcv_operators, 'print_log', lambda text, *_: told.append(text))
        operators = Operators(fake(), '')
        assert not told
        for _ in range(2):
            operators.nms_rotated(boxes, boxes[:, 0], None, None, None, 0.1, False)
        assert len(told) == 1
        assert 'torch on CPUs, mmcv on CUDA (S5_MM_OPS=mmcv|torch' in told[0]

    def test_other_operators(self):
        assert Operators(fake(), 'torch').deform == 'deform'
        missing = Operators(None, '').deform_conv_forward
        with pytest.raises(NotImplementedError, match=r'deform_conv_forward: .*install mmcv with them \(docs/install'):
            missing(torch.zeros(1), stride=2)

    def test_versions_that_environments_are_described_by(self):
        assert Operators(None, '').get_compiler_version() == 'n/a'
        assert Operators(fake(), '').get_compiling_cuda_version() == '12.8'


class TestServing:

    @pytest.fixture(autouse=True)
    def _unserved(self, monkeypatch):
        for name in ('mmcv._ext', 'mmcv.ops', 'mmrotate.structures'):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delenv('S5_MM_OPS', raising=False)
        monkeypatch.setattr(mmcv_operators, 'find_spec', lambda _: None)
        self.told = []
        monkeypatch.setattr(mmcv_operators, 'print_log', lambda text, *_: self.told.append(text))

    def test_without_compiled_operators(self):
        operators = serve_mmcv()
        assert sys.modules['mmcv._ext'] is operators
        assert operators.compiled is None
        assert serve_mmcv() is operators

    def test_an_unknown_choice(self, monkeypatch):
        monkeypatch.setenv('S5_MM_OPS', 'cuda')
        with pytest.raises(ValueError, match="S5_MM_OPS is 'cuda'; choose mmcv or torch"):
            serve_mmcv()

    def test_mmcv_is_asked_for_in_vain(self, monkeypatch):
        monkeypatch.setenv('S5_MM_OPS', 'mmcv')
        with pytest.raises(ImportError, match='S5_MM_OPS=mmcv, but this mmcv has no compiled operators'):
            serve_mmcv()

    @pytest.mark.parametrize('choice', ['', 'mmcv'])
    def test_operators_of_another_torch(self, monkeypatch, choice):
        def refuse(_):
            raise ImportError('undefined symbol: _ZN3c10')
        monkeypatch.setenv('S5_MM_OPS', choice)
        monkeypatch.setattr(mmcv_operators, 'find_spec', lambda name: name)
        monkeypatch.setattr(mmcv_operators, 'import_module', refuse)
        if choice:
            with pytest.raises(ImportError, match='cannot be loaded: undefined symbol.*torch that they were compiled'):
                serve_mmcv()
        else:
            assert serve_mmcv().compiled is None
            assert 'cannot be loaded (undefined symbol: _ZN3c10)' in self.told[0]

    @pytest.mark.parametrize('choice', ['', 'torch', 'mmcv'])
    def test_mmcv_ops_came_first(self, monkeypatch, choice):
        monkeypatch.setenv('S5_MM_OPS', choice)
        monkeypatch.setitem(sys.modules, 'mmcv.ops', mmcv.ops)
        if choice == 'torch':
            with pytest.raises(ImportError, match='S5_MM_OPS=torch comes too late.*Import s5_mm first'):
                serve_mmcv()
        else:
            assert serve_mmcv() is None
            assert ['Import s5_mm first' in text for text in self.told] == ([] if choice else [True])

    def test_mmrotate_came_first_without_operators(self, monkeypatch):
        monkeypatch.setitem(sys.modules, 'mmrotate.structures', SimpleNamespace())
        with pytest.raises(ImportError, match='mmrotate was imported before s5_mm.*Import s5_mm first'):
            serve_mmcv()

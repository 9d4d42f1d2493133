"""A published MoE-MDF detector in ours computes the published function: each head against the published rules, which
are written here in plain arithmetic.

The published code has its classes in another order, counts angles counter-clockwise, and moves boxes by (dx, dy, dw,
dh, dtheta) times (.1, .1, .2, .2, .1) along their own axes.
"""
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmrotate.datasets import DOTAv2Dataset
from mmrotate.structures.bbox import RotatedBoxes, rbox2qbox
from published_files import detector
from tiny_detectors import detector as detector_config
from torch.nn.functional import conv2d, interpolate, linear, max_pool2d, relu

from s5_mm.checkpoints import load_weights
from s5_mm.checkpoints.conversion import convert_checkpoint
from s5_mm.checkpoints.formats import DOTA_PUBLISHED
from s5_mm.registry import MODELS
from s5_mm.routing import Route

CLASSES = dict(dior=20, dota=18)
STDS = (0.1, 0.1, 0.2, 0.2, 0.1)


@pytest.fixture(autouse=True)
def _mmrotate_scope(_mmseg_scope):
    init_default_scope('mmrotate')


@pytest.fixture(scope='module')
def theirs(golden_mdf):
    return detector(golden_mdf)


@pytest.fixture
def build(golden_mdf, tmp_path, theirs):
    """The model with a file's weights, published or converted."""
    def make(way='published', dtype=torch.float32):
        width = golden_mdf.arch['embed_dims']
        cfg = detector_config(datasets={name: dict(num_classes=number) for name, number in CLASSES.items()})
        cfg['backbone'].update(arch=golden_mdf.arch, img_size=64, patch_size=16)
        cfg['experts'] = dict(part_features=golden_mdf.part_features, order=['dior', 'dota'])
        cfg['neck']['in_channels'] = [width] * 4
        model = MODELS.build(ConfigDict(cfg))
        file = tmp_path / 'published.pth'
        torch.save({'state_dict': {name: value.to(dtype) for name, value in theirs.items()}}, file)
        if way == 'converted':
            convert_checkpoint(str(file), str(tmp_path / 'ours.safetensors'), 's5_mm')
            file = tmp_path / 'ours.safetensors'
        load_weights(model, str(file))
        model.eval()
        return model
    return make


@pytest.fixture(params=['published', 'converted'])
def model(build, request):
    return build(request.param)


def of(theirs, dataset, part, layer):
    """Weight and bias of a published layer."""
    return theirs[f'{part}_{dataset}.{layer}.weight'], theirs[f'{part}_{dataset}.{layer}.bias']


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize('dataset', CLASSES)
class TestHeads:

    def test_encoder(self, model, golden_mdf, dataset):
        """Expert 0 is the first dataset's: golden values of the encoder with that expert."""
        first_of_four = golden_mdf.expert_order[list(CLASSES).index(dataset)]
        with torch.no_grad():
            maps = model.extract_feat(golden_mdf.images, Route((dataset, ), (2, ), None))
        for level, values in enumerate(maps):
            assert (values - torch.tensor(golden_mdf.arrays[f'moe_{first_of_four}_feat{level}'])).abs().max() < 1e-4

    def test_neck(self, model, theirs, dataset):
        maps = [random(1, 48, side, side) for side in (16, 8, 4, 2)]
        laterals = [conv2d(level, *of(theirs, dataset, 'neck', f'lateral_convs.{i}.conv'))
                    for i, level in enumerate(maps)]
        for i in (2, 1, 0):
            laterals[i] = laterals[i] + interpolate(laterals[i + 1], scale_factor=2, mode='nearest')
        expected = [conv2d(level, *of(theirs, dataset, 'neck', f'fpn_convs.{i}.conv'), padding=1)
                    for i, level in enumerate(laterals)]
        expected.append(max_pool2d(expected[-1], 1, stride=2))
        with torch.no_grad():
            levels = model.detectors[dataset].neck(maps)
        for values, wanted in zip(levels, expected, strict=True):
            assert torch.allclose(values, wanted, atol=1e-5)

    def test_proposals(self, model, theirs, dataset):
        level = random(2, 8, 6, 6)
        hidden = relu(conv2d(level, *of(theirs, dataset, 'rpn_head', 'rpn_conv'), padding=1))
        with torch.no_grad():
            scores, deltas = model.detectors[dataset].rpn_head.forward_single(level)
        assert torch.allclose(scores, conv2d(hidden, *of(theirs, dataset, 'rpn_head', 'rpn_cls')), atol=1e-5)
        assert torch.allclose(deltas, conv2d(hidden, *of(theirs, dataset, 'rpn_head', 'rpn_reg')), atol=1e-5)

    @staticmethod
    def published(theirs, dataset, regions):
        """Class scores and deltas by the published names."""
        hidden = regions.flatten(1)
        for i in (0, 1):
            hidden = relu(linear(hidden, *of(theirs, dataset, 'roi_head', f'bbox_head.shared_fcs.{i}')))
        return [linear(hidden, *of(theirs, dataset, 'roi_head', f'bbox_head.{part}')) for part in ('fc_cls', 'fc_reg')]

    def test_classes(self, model, theirs, dataset):
        """Of each class by its name; the background comes last."""
        regions = random(12, 8, 7, 7)
        expected, _ = self.published(theirs, dataset, regions)
        with torch.no_grad():
            scores, _ = model.detectors[dataset].roi_head.bbox_head(regions)
        if dataset == 'dota':
            rows = [expected[:, DOTA_PUBLISHED.index(name)] for name in DOTAv2Dataset.METAINFO['classes']]
            expected = torch.stack([*rows, expected[:, -1]], dim=1)
        assert torch.allclose(scores, expected, atol=1e-5)
        assert scores.std() > 0.1

    def test_boxes(self, model, theirs, dataset):
        """Corners of boxes that the head moves: published angles and axes against ours."""
        regions = random(12, 8, 7, 7)
        rng = torch.Generator().manual_seed(1)
        values = torch.rand(12, 5, generator=rng) * torch.tensor([200, 200, 80, 20, 3.1]) + torch.tensor(
            [0, 0, 25, 5, -1.55])
        _, deltas = self.published(theirs, dataset, regions)
        x, y, width, height = values[:, :4].T
        theta = -values[:, 4]  # the same box, counter-clockwise
        dx, dy, dw, dh, dtheta = (deltas * torch.tensor(STDS)).T
        along = torch.stack([theta.cos(), -theta.sin()], dim=1) * (dx * width)[:, None]
        across = torch.stack([theta.sin(), theta.cos()], dim=1) * (dy * height)[:, None]
        centers = torch.stack([x, y], dim=1) + along + across
        width, height, theta = width * dw.exp(), height * dh.exp(), theta + dtheta
        right = torch.stack([theta.cos(), -theta.sin()], dim=1) * width[:, None] / 2
        down = torch.stack([theta.sin(), theta.cos()], dim=1) * height[:, None] / 2
        expected = torch.stack([centers + a * right + b * down for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))], dim=1)

        head = model.detectors[dataset].roi_head.bbox_head
        with torch.no_grad():
            decoded = head.bbox_coder.decode(RotatedBoxes(values), head(regions)[1])
        decoded = decoded.tensor if isinstance(decoded, RotatedBoxes) else decoded
        corners = rbox2qbox(decoded).reshape(12, 4, 2)
        # Which corner comes first depends on how an angle is written.
        assert torch.cdist(corners, expected).min(dim=2).values.max() < 1e-3
        assert torch.cdist(expected, corners).min(dim=2).values.max() < 1e-3


def test_half_precision_file(build):
    """Weights become fp32, and both ways to load the file give the same."""
    whole, converted = build('published', torch.float16), build('converted', torch.float16)
    assert {parameter.dtype for parameter in whole.parameters()} == {torch.float32}
    for (name, one), two in zip(whole.state_dict().items(), converted.state_dict().values(), strict=True):
        assert torch.equal(one, two), name

"""The detector of several datasets: mixed batches, other heads, padding, half precision, files that load into it."""
import copy

import pytest
import torch
from mmdet.structures.bbox import bbox2roi
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmrotate.registry import MODELS as MMROTATE_MODELS
from running import ROOT
from tiny_detectors import batch, detector, sample

from s5_mm.checkpoints import load_weights, replace_pretrained
from s5_mm.registry import MODELS, OPTIM_WRAPPERS
from s5_mm.routing import Route

MIXED = ('green', 'red', 'red', 'green')
STAGES = {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox'}
# mmrotate's single-stage head, which needs no operator that a CPU lacks.
RETINA = dict(
    _delete_=True,
    neck=dict(type='mmdet.FPN', in_channels=[16] * 4, out_channels=8, num_outs=5),
    bbox_head=dict(
        type='mmdet.RetinaHead',
        in_channels=8,
        stacked_convs=1,
        feat_channels=8,
        anchor_generator=dict(
            type='FakeRotatedAnchorGenerator', angle_version='le90', octave_base_scale=4, scales_per_octave=1,
            ratios=[1.0], strides=[2, 4, 8, 16, 32]),
        bbox_coder=dict(type='s5_mm.S5DeltaXYWHTRBBoxCoder', angle_version='le90', edge_swap=True, proj_xy=True),
        loss_cls=dict(type='mmdet.FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='mmdet.L1Loss')),
    train_cfg=dict(
        assigner=dict(type='mmdet.MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1,
                      iou_calculator=dict(type='RBboxOverlaps2D')),
        sampler=dict(type='mmdet.PseudoSampler'),
        allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(nms_pre=50, min_bbox_size=0, score_thr=0.0, nms=dict(type='nms_rotated', iou_threshold=0.1),
                  max_per_img=10))


@pytest.fixture(autouse=True)
def _mmrotate_scope(_mmseg_scope):
    init_default_scope('mmrotate')


def built(seed=0, **settings):
    torch.manual_seed(seed)
    model = MODELS.build(ConfigDict(detector(**settings)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    model.eval()
    return model


def summed(model, losses):
    return model.parse_losses(losses)[0]


class TestMixedBatch:

    @pytest.mark.parametrize('names', [MIXED, ('red', 'red', 'green', 'green')])
    def test_losses_and_gradients_equal_separate_forwards(self, names):
        model = built().train()
        twin = copy.deepcopy(model)
        images, samples = batch(names)
        mixed = model.loss(images, samples)
        summed(model, mixed).backward()
        for name in ('red', 'green'):
            own = [i for i, other in enumerate(names) if other == name]
            losses = twin.loss(images[own], [samples[i] for i in own])
            summed(twin, losses).backward()
            assert {key for key in losses if key != 'loss_absent'} == {f'{name}.{key}' for key in {*STAGES, 'acc'}}
            for key in (key for key in mixed if key.startswith(name)):
                assert torch.allclose(total(mixed[key]), total(losses[key]), atol=1e-5), key
        for (name, one), two in zip(model.named_parameters(), twin.parameters(), strict=True):
            assert torch.allclose(one.grad, two.grad, rtol=1e-3, atol=1e-5), name

    def test_predictions_equal_separate_ones_and_keep_the_order(self):
        model = built()
        images, samples = batch(MIXED)
        with torch.no_grad():
            predicted = model.predict(images, copy.deepcopy(samples))
            assert [one.metainfo['dataset_name'] for one in predicted] == list(MIXED)
            for i, one in enumerate(predicted):
                alone = model.predict(images[i:i + 1], copy.deepcopy(samples[i:i + 1]))[0].pred_instances
                assert len(alone) == 20
                assert torch.allclose(one.pred_instances.bboxes, alone.bboxes, atol=1e-2)
                assert torch.allclose(one.pred_instances.scores, alone.scores, atol=1e-4)
        classes = {name: max(one.pred_instances.labels.max().item() for one in predicted
                             if one.metainfo['dataset_name'] == name) for name in ('red', 'green')}
        assert classes['red'] <= 2
        assert classes['green'] <= 3

    def test_experts_and_heads_get_nothing_from_other_data_sets(self):
        model = built().train()
        losses = model.loss(*batch(MIXED))
        summed(model, {key: value for key, value in losses.items() if key.startswith('red')}).backward()
        assert all(parameter.grad is None or parameter.grad.abs().max() == 0
                   for parameter in model.parameters_of('green'))
        assert all(parameter.grad is not None for parameter in model.parameters_of('red'))

    def test_absent_data_set_gets_zero_gradients(self):
        model = built().train()
        loss, logged = model.parse_losses(model.loss(*batch(('red', 'red'))))
        loss.backward()
        assert logged['loss'].item() == pytest.approx(sum(logged[f'red.{key}'].item() for key in STAGES))
        assert all(parameter.grad is not None for parameter in model.parameters())
        assert all(parameter.grad.abs().max() == 0 for parameter in model.parameters_of('green'))

    @pytest.mark.parametrize('mode', ['loss', 'predict', 'tensor'])
    def test_unknown_data_set(self, mode):
        with pytest.raises(ValueError, match=r"MultiDatasetDetector: a sample's dataset_name is 'blue', the model"):
            built()(*batch(('blue', )), mode=mode)

    def test_tensor_mode(self):
        scores, deltas = built()(*batch(('red', 'green', 'green')), mode='tensor')['green']
        assert [tuple(level.shape) for level in scores] == [(2, 3, side, side) for side in (32, 16, 8, 4, 2)]
        assert deltas[0].shape == (2, 18, 32, 32)


def total(loss):
    return sum(loss) if isinstance(loss, list) else loss


def preprocessed(model, sizes, training):
    """A batch of images of these sizes (height, width), as a loader gives it and after the preprocessor."""
    names = ('red', 'green')[:len(sizes)]
    samples = [sample(name, i) for i, name in enumerate(names)]
    rng = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=rng) for size in sizes]
    for one, (height, width) in zip(samples, sizes, strict=True):
        one.set_metainfo(dict(img_shape=(height, width), ori_shape=(height // 2, width // 2), scale_factor=(2.0, 2.0)))
    return model.data_preprocessor(dict(inputs=images, data_samples=samples), training=training)


class TestImagesOfDifferentSize:

    def test_they_are_padded_to_one_size_and_trained_on(self):
        model = built().train()
        data = preprocessed(model, [(64, 50), (90, 64)], True)
        assert data['inputs'].shape == (2, 3, 96, 64)
        loss = summed(model, model.loss(**data))
        loss.backward()
        assert torch.isfinite(loss)

    def test_boxes_are_those_of_the_original_image(self):
        model = built()
        with torch.no_grad():
            scaled, as_seen = (model.predict(**preprocessed(model, [(64, 50), (90, 64)], False), rescale=rescale)
                               for rescale in (True, False))
        for one, other in zip(scaled, as_seen, strict=True):
            assert torch.allclose(2 * one.pred_instances.bboxes[:, :4], other.pred_instances.bboxes[:, :4], atol=1e-3)
            assert torch.allclose(one.pred_instances.bboxes[:, 4], other.pred_instances.bboxes[:, 4], atol=1e-5)


class TestHeads:

    def test_one_stage_beside_two(self):
        model = built(datasets=dict(red=dict(num_classes=3), green=dict(num_classes=4, detector=RETINA))).train()
        assert not hasattr(model.detectors['green'], 'rpn_head')
        images, samples = batch(MIXED)
        losses = model.loss(images, samples)
        assert {key for key in losses if key.startswith('green')} == {'green.loss_cls', 'green.loss_bbox'}
        summed(model, losses).backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
        model.eval()
        with torch.no_grad():
            predicted = model.predict(images, samples)
        assert [len(one.pred_instances) for one in predicted[::3]] == [10, 10]
        assert all(10 < len(one.pred_instances) <= 20 for one in predicted[1:3])
        with torch.no_grad():
            scores = model(*batch(('green', )), mode='tensor')['green'][0]
        assert scores[0].shape == (1, 4, 32, 32)

    def test_settings_of_one_data_set(self):
        own = dict(test_cfg=dict(rcnn=dict(max_per_img=5)), neck=dict(out_channels=8, norm_cfg=dict(type='BN')))
        model = built(datasets=dict(red=dict(num_classes=3, detector=own), green=dict(num_classes=4)))
        predicted = model.predict(*batch(('red', 'green')))
        assert [len(one.pred_instances) for one in predicted] == [5, 20]
        assert model.detectors['green'].neck.fpn_convs[0].norm_cfg is None

    def test_weight_of_a_data_sets_losses(self):
        plain, half = (built(datasets=dict(red=dict(num_classes=3, loss_weight=weight))) for weight in (1.0, 0.5))
        images, samples = batch(('red', ))
        one, other = (model.loss(images, copy.deepcopy(samples)) for model in (plain, half))
        for key in STAGES:
            assert total(other[f'red.{key}']).item() == pytest.approx(total(one[f'red.{key}']).item() / 2, rel=1e-5)
        assert torch.equal(one['red.acc'], other['red.acc'])

    def test_unknown_setting(self):
        with pytest.raises(ValueError, match=r"datasets\['red'\] has unknown keys \['decode_head'\]; .*'detector'\]"):
            built(datasets=dict(red=dict(num_classes=3, decode_head={})))

    def test_images_without_boxes(self):
        model = built().train()
        losses = model.loss(*batch(('red', 'green'), boxes=0))
        summed(model, losses).backward()
        assert all(total(losses[f'{name}.loss_bbox']) == 0 for name in ('red', 'green'))
        assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())

    def test_frozen(self):
        model = built(frozen_except=['green']).train()
        trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        assert trained == {id(parameter) for parameter in model.parameters_of('green')}
        model.check_batch(dict(green=1))
        assert model.detectors['green'].training
        assert not model.detectors['red'].training

    def test_heads_are_initialized_as_mmdets(self):
        model = MODELS.build(ConfigDict(detector()))
        model.init_weights()
        head = model.detectors['green'].rpn_head
        assert head.rpn_cls.weight.std().item() == pytest.approx(0.01, rel=0.3)
        assert model.detectors['red'].roi_head.bbox_head.fc_reg.weight.std().item() == pytest.approx(0.001, rel=0.3)

    def test_layer_depths(self):
        model = built()
        assert model.get_layer_depth('backbone.layers.1.ffn.layers.1.experts.red.weight') == (2, 6)
        assert model.get_layer_depth('detectors.red.neck.fpn_convs.0.conv.weight') == (5, 6)


class TestHalfPrecision:

    def test_training_in_bfloat16(self):
        """Ten steps with finite losses, which fall."""
        model = built()
        model.init_weights()
        model.train()
        wrapper = OPTIM_WRAPPERS.build(dict(
            type='s5_mm.Bf16OptimWrapper', optimizer=torch.optim.AdamW(model.parameters(), lr=1e-2)))
        data = dict(zip(('inputs', 'data_samples'), batch(('red', 'green')), strict=True))
        losses = []
        for _ in range(10):
            with wrapper.optim_context(model):
                loss, logged = model.parse_losses(model(**copy.deepcopy(data), mode='loss'))
            assert all(torch.isfinite(value) for value in logged.values())
            wrapper.update_params(loss)
            losses.append(loss.item())
        assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
        assert losses[-1] < 0.8 * losses[0]

    @pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
    def test_boxes_and_losses_under_autocast(self, dtype):
        """The same as in float32 but for the rounding of features."""
        model = built()
        images, samples = batch(('red', 'green'))
        exact = model.loss(images, copy.deepcopy(samples))
        with torch.no_grad(), torch.autocast('cpu', dtype=dtype):
            losses = model.loss(images, copy.deepcopy(samples))
            instances = model.predict(images, samples)[0].pred_instances
        assert instances.bboxes.dtype == instances.scores.dtype == torch.float32
        assert torch.isfinite(instances.bboxes).all()
        for key in (f'{name}.{loss}' for name in ('red', 'green') for loss in STAGES):
            assert total(losses[key]).item() == pytest.approx(total(exact[key]).item(), rel=0.1), key


class TestFiles:

    @pytest.fixture
    def segmentor(self, tiny_segmentor, tiny_vit):
        """A segmentor whose encoder saw 32 px images; the detectors' see 64 px."""
        torch.manual_seed(1)
        init_default_scope('mmseg')
        model = MODELS.build(tiny_segmentor(tiny_vit(drop_path_rate=0.0)))
        init_default_scope('mmrotate')
        return model

    @pytest.mark.parametrize('way', ['load_from', 'init_cfg', 'backbone'])
    @pytest.mark.parametrize('kind', ['segmentor', 'encoder'])
    def test_encoders_of_segmentors(self, segmentor, tmp_path, way, kind):
        source = segmentor if kind == 'segmentor' else segmentor.backbone
        path = str(tmp_path / 'x.pth')
        torch.save({'state_dict': source.state_dict()}, path)
        settings, start = {}, dict(type='Pretrained', checkpoint=path)
        if way == 'init_cfg':
            settings = dict(init_cfg=start)
        elif way == 'backbone':
            settings = dict(backbone=detector()['backbone'] | dict(init_cfg=start))
        model = built(**settings)
        before = model.detectors['red'].neck.fpn_convs[0].conv.weight.clone()
        if way == 'load_from':
            load_weights(model, path, encoder_only=True)
            assert torch.equal(model.detectors['red'].neck.fpn_convs[0].conv.weight, before)
        else:
            replace_pretrained(model)
            model.init_weights()
        layer, dense = model.backbone.layers[2], segmentor.backbone.layers[2]
        assert torch.equal(layer.attn.qkv.weight, dense.attn.qkv.weight)
        assert torch.equal(layer.ffn.layers[1].weight, dense.ffn.layers[1].weight[:12])
        assert torch.equal(layer.ffn.layers[1].experts['green'].weight, dense.ffn.layers[1].weight[12:])
        pyramid, dense = model.backbone.pyramid, segmentor.backbone.pyramid
        assert torch.equal(pyramid.upsample_2x[0].weight, dense.upsample_2x[0].weight)
        assert model.backbone.pos_embed.shape == (1, 64, 16)

    def test_own_checkpoint(self, tmp_path):
        first, second = built(1), built(2)
        torch.save({'state_dict': first.state_dict()}, tmp_path / 'x.pth')
        load_weights(second, str(tmp_path / 'x.pth'))
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

    def test_an_encoder_alone_is_a_start_and_no_model(self, segmentor):
        with pytest.raises(ValueError, match='does not fit the MultiDatasetDetector: It lacks .* an encoder alone is a '
                           'start, not a model'):
            load_weights(built(), segmentor.state_dict())


class TestResNetTwin:

    def test_it_is_mmrotates_oriented_rcnn(self):
        """The same losses and boxes as the plain detector of mmdet with the same weights."""
        cfg = Config.fromfile(ROOT / 'configs/_base_/models/mdf_oriented-rcnn_r50.py').model
        cfg.backbone.update(depth=18, init_cfg=None)
        cfg.neck.in_channels = [64, 128, 256, 512]
        cfg.train_cfg.rpn.sampler.num = cfg.train_cfg.rcnn.sampler.num = 100_000
        cfg.train_cfg.rpn_proposal.update(nms_pre=60, max_per_img=40)
        cfg.test_cfg.rpn.update(nms_pre=60, max_per_img=40)
        cfg.test_cfg.rcnn.score_thr = 0.0
        cfg.datasets = dict(red=dict(num_classes=3))
        torch.manual_seed(0)
        ours = MODELS.build(copy.deepcopy(cfg))
        plain = cfg.copy()
        for key in ('datasets', 'experts'):
            plain.pop(key)
        plain.update(type='mmdet.FasterRCNN')
        plain.roi_head.bbox_head.num_classes = 3
        plain = MMROTATE_MODELS.build(plain)
        plain.load_state_dict({name.replace('detectors.red.', ''): value for name, value in ours.state_dict().items()})
        images, samples = batch(('red', 'red'))
        mine, other = (model.train().loss(images, copy.deepcopy(samples)) for model in (ours, plain))
        assert {key: total(value).item() for key, value in mine.items()} == {
            f'red.{key}': pytest.approx(total(value).item(), rel=1e-5) for key, value in other.items()}
        with torch.no_grad():
            mine, other = (model.eval().predict(images, copy.deepcopy(samples)) for model in (ours, plain))
        assert all(torch.equal(a.pred_instances.bboxes, b.pred_instances.bboxes)
                   for a, b in zip(mine, other, strict=True))


class TestEqualsMMRotate:
    """Every stage against mmrotate's Oriented R-CNN of the same weights, on contiguous maps.

    Where ours differs on purpose (margin of RoIs, coders), mmrotate's way is set; those parts have tests of their own.
    """

    @pytest.fixture(scope='class')
    def both(self):
        init_default_scope('mmrotate')
        cfg = ConfigDict(detector(datasets=dict(red=dict(num_classes=3))))
        cfg.experts = None
        cfg.rpn_head.bbox_coder.type = 'MidpointOffsetCoder'
        cfg.roi_head.bbox_head.bbox_coder.type = 'DeltaXYWHTRBBoxCoder'
        cfg.roi_head.bbox_roi_extractor.extend_factor = (1, 1)
        # Small anchors and a low border between the levels: RoIs come from all four.
        cfg.roi_head.bbox_roi_extractor.finest_scale = 8
        torch.manual_seed(0)
        ours = MODELS.build(copy.deepcopy(cfg))
        for parameter in ours.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        plain = cfg.copy()
        for key in ('datasets', 'experts'):
            plain.pop(key)
        plain.update(type='mmdet.FasterRCNN')
        plain.neck.in_channels = [16] * 4
        plain.rpn_head.anchor_generator.strides = [2, 4, 8, 16, 32]
        plain.roi_head.bbox_roi_extractor.featmap_strides = [2, 4, 8, 16]
        plain.backbone = dict(
            type='s5_mm.ViT', arch=cfg.backbone.arch, img_size=64, patch_size=8, drop_path_rate=0.0)
        plain.roi_head.bbox_roi_extractor.update(type='mmrotate.RotatedSingleRoIExtractor')
        plain.roi_head.bbox_roi_extractor.pop('extend_factor')
        plain.roi_head.bbox_head.num_classes = 3
        plain = MMROTATE_MODELS.build(plain)
        plain.load_state_dict({name.replace('detectors.red.', ''): value for name, value in ours.state_dict().items()})
        plain.neck.register_forward_hook(lambda _, __, maps: tuple(level.contiguous() for level in maps))
        return ours.eval(), plain.eval()

    @torch.no_grad()
    def stages(self, model, own):
        """Proposals, RoI features, class scores and boxes; ``own`` has neck and heads."""
        images, samples = batch(('red', 'red'))
        shared = images if own is model else model.extract_feat(images, Route(('red', ), (2, ), None))
        maps = own.extract_feat(shared)
        proposals = own.rpn_head.predict(maps, copy.deepcopy(samples), rescale=False)
        rois = bbox2roi([one.bboxes for one in proposals])
        features = own.roi_head.bbox_roi_extractor(maps[:4], rois)
        scores, deltas = own.roi_head.bbox_head(features)
        found = [one.pred_instances for one in model.predict(images, samples)]
        levels = own.roi_head.bbox_roi_extractor.map_roi_levels(rois, 4)
        return dict(proposals=rois, features=features, scores=scores, deltas=deltas, levels=levels,
                    boxes=torch.cat([one.bboxes for one in found]), box_scores=torch.cat([one.scores for one in found]))

    def test_every_stage(self, both):
        ours, plain = both
        one, other = self.stages(ours, ours.detectors['red']), self.stages(plain, plain)
        for name, value in other.items():
            assert torch.allclose(one[name].float(), value.float(), atol=1e-4, rtol=1e-4), name
        assert set(other['levels'].tolist()) == {0, 1, 2, 3}
        assert len(other['boxes']) == 40

    def test_losses(self, both):
        ours, plain = (copy.deepcopy(model).train() for model in both)
        images, samples = batch(('red', 'red'))
        mine, other = (model.loss(images, copy.deepcopy(samples)) for model in (ours, plain))
        assert {key: total(value).item() for key, value in mine.items()} == {
            f'red.{key}': pytest.approx(total(value).item(), rel=1e-4) for key, value in other.items()}


def test_layer_decay_reaches_the_optimizer():
    """Four blocks: block i learns at 0.5 ** (4 - i) times the rate, necks and heads at the rate."""
    model = built()
    wrapper = build_optim_wrapper(model, ConfigDict(
        type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
        constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor', paramwise_cfg=dict(layer_decay_rate=0.5)))
    rates = {group['param_name']: group['lr'] for group in wrapper.optimizer.param_groups}
    assert rates['backbone.layers.1.ffn.layers.1.experts.red.weight'] == 0.5**3
    assert rates['detectors.green.rpn_head.rpn_cls.weight'] == 1.0

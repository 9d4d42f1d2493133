"""One FixMatch step, its options and errors, and the networks that it wraps."""
import copy

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS as ROOT_MODELS
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS as MMSEG_MODELS
from torch.nn import functional as F

from s5_mm.models import FixMatchSegmentor, PseudoLabel, View
from s5_mm.registry import MODELS

PLAIN_VIEW = dict(jitter_prob=0, gray_prob=0, blur_prob=0)


@pytest.fixture
def make_model(tiny_segmentor):
    def make(segmentor=None, **options):
        torch.manual_seed(0)
        cfg = dict(type='s5_mm.FixMatchSegmentor', segmentor=segmentor or tiny_segmentor(), consistency=dict(tau=0.6))
        model = MODELS.build(ConfigDict({**cfg, **options}))
        model.init_weights()
        if segmentor is None:
            # mmseg's initial logits are all but 0, and every confidence 1/3.
            torch.nn.init.normal_(model.segmentor.decode_head.conv_seg.weight, std=0.02)
        model.teacher_is_updated = True  # as MeanTeacherHook says before training
        return model.train()
    return make


@pytest.fixture
def make_batch(make_sample):
    """Images of the named sources and their samples; the right half of the first unlabeled image is padding."""
    def make(sources=('labeled', 'labeled', 'unlabeled', 'unlabeled'), scale=255.0, classes=3):
        generator = np.random.RandomState(0)
        images = torch.tensor(generator.rand(len(sources), 3, 32, 32), dtype=torch.float32) * scale
        masks = [generator.randint(0, classes, (32, 32)) * (name == 'labeled') for name in sources]
        if 'unlabeled' in sources:
            masks[sources.index('unlabeled')][:, 16:] = 255
        return images, [make_sample(name, mask) for name, mask in zip(sources, masks, strict=True)]
    return make


def step(model, batch, seed=0):
    torch.manual_seed(seed)
    np.random.seed(seed)
    losses = model.loss(*batch)
    return model.parse_losses(losses)


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


class TestLoss:

    @pytest.mark.parametrize('weight', [1.0, 0.3])
    def test_total(self, make_model, make_batch, weight):
        total, logs = step(make_model(unlabeled_weight=weight), make_batch())
        assert total.item() == pytest.approx((logs['loss_x'].item() + weight * logs['loss_u'].item()) / 2)
        assert logs['loss'].item() == total.item()
        assert 0 < logs['mask_ratio'] < 1
        assert logs['loss_u'] > 0
        assert 'decode.acc_seg' in logs

    def test_step_by_hand(self, make_model, make_batch):
        """Recomputed with nothing but the network, where the strong view is the weak one."""
        model = make_model(strong_view=PLAIN_VIEW, cutmix=None)
        images, samples = make_batch()
        network = copy.deepcopy(model.segmentor)

        def logits_of(x):
            small = network.decode_head(network.backbone(x))
            return F.interpolate(small, (32, 32), mode='bilinear', align_corners=True)
        network.eval()
        with torch.no_grad():
            confidence, label = logits_of(images[2:]).softmax(1).max(1)
        network.train()
        logits = logits_of(images)
        truth = torch.stack([sample.gt_sem_seg.data[0] for sample in samples[:2]])
        valid = torch.ones(2, 32, 32)
        valid[0, :, 16:] = 0
        counted = (confidence >= 0.6) * valid
        loss_u = (F.cross_entropy(logits[2:], label, reduction='none') * counted).sum() / (2 * 32 * 32 - 16 * 32)

        _, logs = step(model, (images, samples))
        assert logs['loss_x'].item() == pytest.approx(F.cross_entropy(logits[:2], truth).item(), abs=1e-6)
        assert logs['loss_u'].item() == pytest.approx(loss_u.item(), abs=1e-6)
        assert logs['mask_ratio'].item() == pytest.approx(counted.sum().item() / 1536)
        assert 0.1 < logs['mask_ratio'] < 0.97

    def test_padding_is_no_part_of_the_share(self, make_model, make_batch):
        _, logs = step(make_model(consistency=dict(tau=0.0), cutmix=None), make_batch())
        assert logs['mask_ratio'] == 1

    def test_all_padded(self, make_model, make_batch):
        images, samples = make_batch()
        for sample in samples[2:]:
            sample.gt_sem_seg.data[:] = 255
        total, logs = step(make_model(), (images, samples))
        total.backward()
        assert logs['loss_u'] == 0
        assert logs['loss'] == logs['loss_x'] / 2

    def test_no_gradient_through_pseudo_labels(self, make_model, make_batch, monkeypatch):
        gradients = []
        for fixed in (None, 'computed before'):
            model = make_model()
            images, samples = make_batch()
            if fixed:
                target = model.pseudo_label(model.split(images, samples))
                monkeypatch.setattr(model, 'pseudo_label', lambda *_, target=target: target)
            total, _ = step(model, (images, samples))
            total.backward()
            gradients.append([parameter.grad for parameter in model.parameters()])
        assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True) if a is not None)
        target = model.pseudo_label(model.split(images, samples))
        assert target.weight is None
        assert not any(part.requires_grad for part in target[:3])

    def test_unlabeled_images_teach_the_network(self, make_model, make_batch):
        model = make_model(consistency=dict(tau=0.0))
        model.loss(*make_batch())['loss_u'].backward()
        assert model.segmentor.backbone.patch_embed.projection.weight.grad.abs().max() > 0

    def test_order_of_the_batch_is_free(self, make_model, make_batch):
        images, samples = make_batch()
        order = [2, 0, 3, 1]
        logs = [step(make_model(strong_view=PLAIN_VIEW, cutmix=None), batch)[1]
                for batch in ((images, samples), (images[order], [samples[i] for i in order]))]
        assert logs[0]['loss'].item() == pytest.approx(logs[1]['loss'].item(), abs=1e-6)

    def test_deterministic_by_seed(self, make_model, make_batch):
        first, again, other = (step(make_model(), make_batch(), seed)[1]['loss_u'].item() for seed in (1, 1, 2))
        assert first == again != other


class TestPseudoLabel:

    def test_eval_mode_without_trace(self, make_model, make_batch):
        """Batch norms use and keep their running statistics, drop path is off, the mode comes back."""
        model = make_model()
        images, samples = make_batch()
        before = copy.deepcopy(model.segmentor)
        target = model.pseudo_label(model.split(images, samples))
        assert same_weights(before, model.segmentor)
        assert model.segmentor.training
        assert all(module.training for module in model.segmentor.modules())
        with torch.no_grad():
            logits = before.eval().encode_decode(images[2:], [dict(img_shape=(32, 32))] * 2)
        assert torch.equal(target.label, logits.argmax(1))
        assert torch.allclose(target.confidence, logits.softmax(1).amax(1))
        assert target.valid.float().mean(dim=(1, 2)).tolist() == [0.5, 1.0]

    @pytest.mark.parametrize(('autocast', 'dtype'), [(False, torch.float32), (True, torch.bfloat16)])
    def test_precision(self, make_model, make_batch, autocast, dtype):
        model = make_model(pseudo_label_autocast=autocast)
        images, samples = make_batch()
        seen = []
        model.segmentor.decode_head.conv_seg.register_forward_hook(lambda *args: seen.append(args[-1].dtype))
        with torch.autocast('cpu', dtype=torch.bfloat16):
            model.pseudo_label(model.split(images, samples))
        assert seen == [dtype]


class TestViews:

    @pytest.fixture
    def normalized(self, make_model):
        return make_model(data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[100.0, 110, 120], std=[50.0, 60, 70], size=(32, 32), bgr_to_rgb=True))

    def test_strong_view_works_on_pixels(self, normalized, monkeypatch):
        seen = []
        monkeypatch.setattr(normalized.strong_view, 'forward', lambda x: seen.append(x) or x)
        pixels = torch.rand(2, 3, 8, 8) * 255
        mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in ([100.0, 110, 120], [50.0, 60, 70]))
        weak = (pixels - mean) / std
        assert torch.allclose(normalized.distort(weak), weak, atol=1e-5)
        assert torch.allclose(seen[0], pixels / 255, atol=1e-6)

    def test_cutmix_of_everything_alike(self, make_model, monkeypatch):
        model = make_model()
        box = torch.zeros(3, 2, 2, dtype=torch.bool)
        box[0, 0, 0] = box[1, 1] = True
        monkeypatch.setattr(model.cutmix, 'boxes', lambda *args, **kwargs: box)
        strong = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 3, 2, 2)
        numbers = torch.arange(3).reshape(3, 1, 1).expand(3, 2, 2)
        target = PseudoLabel(label=numbers + 5, confidence=numbers / 10, valid=numbers == 0)
        mixed, mixed_target = model.mix(View(strong, target))
        taken = torch.tensor([[[2, 0], [0, 0]], [[1, 1], [0, 0]], [[2, 2], [2, 2]]])
        assert torch.equal(mixed, taken[:, None].expand(3, 3, 2, 2).float())
        assert torch.equal(mixed_target.label, taken + 5)
        assert torch.equal(mixed_target.confidence, taken / 10)
        assert torch.equal(mixed_target.valid, taken == 0)

    def test_padding_of_the_partner_counts(self, make_model, make_batch, monkeypatch):
        """All of the second image is replaced by the first, half of which is padding, and the other way round."""
        model = make_model(consistency=dict(tau=0.0))
        monkeypatch.setattr(model.cutmix, 'boxes', lambda n, h, w, device: torch.ones(n, h, w, dtype=torch.bool))
        seen = []
        consistency = model.consistency.forward
        monkeypatch.setattr(model.consistency, 'forward',
                            lambda logits, target: seen.append(target) or consistency(logits, target))
        model.loss(*make_batch())
        assert seen[0].valid.float().mean(dim=(1, 2)).tolist() == [1.0, 0.5]

    def test_partner_is_the_image_before(self, make_model):
        numbers = torch.arange(3).reshape(3, 1, 1)
        view = View(numbers[:, None], PseudoLabel(numbers, numbers, numbers))
        assert [part.flatten().tolist() for part in (make_model().partner(view).images,
                                                     make_model().partner(view).target.valid)] == [[2, 0, 1]] * 2

    def test_strong_view_is_made_in_fp32(self, make_model, make_batch):
        """Autocast would blur and turn gray in bfloat16, whose colors have 8 bits."""
        images, _ = make_batch()
        model = make_model(strong_view=dict(jitter_prob=1, gray_prob=1, blur_prob=1))
        views = []
        for dtype in (torch.float32, torch.bfloat16):
            torch.manual_seed(0)
            with torch.autocast('cpu', dtype=dtype, enabled=dtype == torch.bfloat16):
                views.append(model.distort(images))
        assert views[1].dtype == torch.float32
        assert torch.equal(*views)

    def test_observer_sees_the_step(self, make_model, make_batch):
        model = make_model()
        images, samples = make_batch()
        steps = []
        model.observers.append(steps.append)
        losses = model.loss(images, samples)
        model.observers.clear()
        model.loss(images, samples)
        [seen] = steps
        assert torch.equal(seen.batch.labeled, images[:2])
        assert torch.equal(seen.batch.weak, images[2:])
        assert seen.batch.weak_samples == samples[2:]
        assert [tuple(view.images.shape) for view in seen.views] == [(2, 3, 32, 32)]
        assert [tuple(logits.shape) for logits in seen.logits] == [(2, 3, 32, 32)]
        assert not seen.target.valid[0, :, 16:].any()
        loss, _ = model.consistency(seen.logits[0], seen.views[0].target)
        assert loss.item() == losses['loss_u'].item()


class TestErrors:

    @pytest.mark.parametrize(('options', 'message'), [
        (dict(consistency=dict(tau=1.01)), 'tau is 1.01, it must lie in'),
        (dict(unlabeled_weight=-1), 'unlabeled_weight is -1; it must be at least 0'),
        (dict(cutmix=dict(prob=2)), 'prob is 2, it must lie in'),
    ])
    def test_options(self, make_model, options, message):
        with pytest.raises(ValueError, match=message):
            make_model(**options)

    @pytest.mark.parametrize('options', [dict(consistensy={}), dict(cutmix=dict(probability=1)),
                                         dict(strong_view=dict(blur=1)), dict(teacher=dict(decay=1)),
                                         dict(cutmix_partner='batch')])
    def test_misspelt_options(self, make_model, options):
        with pytest.raises(TypeError, match='unexpected keyword'):
            make_model(**options)

    def test_binary_head(self, make_model, tiny_segmentor):
        cfg = tiny_segmentor()
        cfg['decode_head'].update(num_classes=2, out_channels=1, threshold=0.5,
                                  loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True))
        with pytest.raises(ValueError, match='the decode head has one output channel; give it two'):
            make_model(cfg)

    def test_batch_of_one(self, make_model, make_batch):
        batch = make_batch(('labeled', 'labeled', 'unlabeled'))
        with pytest.raises(ValueError, match='the batch, which has 1 unlabeled image; draw at least 2, or switch it '
                           'off with cutmix=None'):
            make_model().loss(*batch)
        assert make_model(cutmix=None).loss(*batch)['loss_u'] > 0

    @pytest.mark.parametrize(('sources', 'options', 'message'), [
        (('labeled', 'labeled'), {}, r"has the sources \['labeled'\], expected \['labeled', 'unlabeled'\]; use these "
                                     r'names in MultiSourceDataset.sources and MultiSourceSampler.per_batch, or set '
                                     'model.labeled and model.unlabeled'),
        (('labeled', 'pool', 'pool'), {}, r"has the sources \['labeled', 'pool'\]"),
        (('labeled', 'unlabeled', 'other'), {}, r"expected \['labeled', 'unlabeled'\]"),
        (('labeled', 'unlabeled'), dict(unlabeled='pool'), r"expected \['labeled', 'pool'\]"),
    ])
    def test_sources(self, make_model, make_batch, sources, options, message):
        with pytest.raises(ValueError, match=message):
            make_model(**options).loss(*make_batch(sources))

    def test_padding_is_not_marked(self, make_model, make_batch, make_sample):
        images, samples = make_batch()
        samples[3] = make_sample('unlabeled', None)
        with pytest.raises(ValueError, match="'unlabeled' do not mark their padding; put s5_mm.UnlabeledMask behind"):
            make_model().loss(images, samples)

    def test_teacher_that_nothing_updates(self, make_model, make_batch):
        model = make_model(teacher={})
        model.teacher_is_updated = False
        with pytest.raises(RuntimeError, match=r"FixMatchSegmentor: model.teacher is set, but no hook updates it; add "
                                               r"dict\(type='s5_mm.MeanTeacherHook'\) to custom_hooks, or set"):
            model.loss(*make_batch())


class TestTeacher:

    def test_momentum_ends_at_0996(self, make_model):
        model = make_model(teacher={})
        model.teacher.steps.fill_(100000)
        with torch.no_grad():
            model.teacher.module.backbone.pos_embed.zero_()
            model.segmentor.backbone.pos_embed.fill_(1)
        model.teacher.update_parameters(model.segmentor)
        assert torch.allclose(model.teacher.module.backbone.pos_embed, torch.tensor(0.004), atol=1e-5)

    def test_teacher_labels_and_is_evaluated(self, make_model, make_batch):
        model = make_model(teacher={})
        images, samples = make_batch()
        assert model.evaluated is model.segmentor
        step(model, (images, samples))
        assert model.evaluated is model.segmentor
        model.teacher.update_parameters(model.segmentor)
        assert model.evaluated is model.teacher.module
        with torch.no_grad():
            model.segmentor.decode_head.conv_seg.bias.copy_(torch.tensor([0, 0, 1e4]))
            model.teacher.module.decode_head.conv_seg.bias.copy_(torch.tensor([0, 1e4, 0]))
        assert (model.pseudo_label(model.split(images, samples)).label == 1).all()
        model.eval()
        with torch.no_grad():
            assert (model.predict(images[:1])[0].pred_sem_seg.data == 1).all()
            assert (model.encode_decode(images[:1], [dict(img_shape=(32, 32))]).argmax(1) == 1).all()
            assert (model(images[:1]).argmax(1) == 1).all()
            assert torch.equal(model.extract_feat(images[:1])[2], model.teacher.module.extract_feat(images[:1])[2])

    def test_teacher_stays_in_eval_mode_and_gets_no_gradient(self, make_model, make_batch):
        model = make_model(teacher={}).train()
        assert model.training
        assert not any(module.training for module in model.teacher.module.modules())
        total, _ = step(model, make_batch())
        total.backward()
        assert all(parameter.grad is None for parameter in model.teacher.parameters())
        assert not any(parameter.requires_grad for parameter in model.teacher.parameters())

    def test_a_step_leaves_the_teacher_as_it_is(self, make_model, make_batch):
        """It is updated after the step of the optimizer, so the labels come from the weights before it."""
        model = make_model(teacher={})
        model.teacher.update_parameters(model.segmentor)
        before = copy.deepcopy(model.teacher)
        with torch.no_grad():
            model.segmentor.backbone.pos_embed.fill_(3)
        step(model, make_batch())
        assert same_weights(before, model.teacher)

    def test_options_reach_the_average(self, make_model):
        assert make_model(teacher=dict(momentum=0.1)).teacher.momentum == 0.1

    def test_resumed_teacher_goes_on(self, make_model, make_batch):
        model, batch = make_model(teacher={}), make_batch()
        model.teacher.update_parameters(model.segmentor)
        other = make_model(teacher={})
        other.load_state_dict(model.state_dict())
        assert other.evaluated is other.teacher.module
        for each in (model, other):
            step(each, batch, seed=3)
            each.teacher.update_parameters(each.segmentor)
        assert other.teacher.steps == 2
        assert same_weights(model.teacher.module, other.teacher.module)


@MMSEG_MODELS.register_module(force=True)
class OwnLossHead(FCNHead):
    """A head whose loss does not work in the usual two steps."""

    def loss(self, inputs, batch_data_samples, train_cfg):
        return dict(loss_own=self(inputs).square().mean())


BN = dict(type='BN')
RESNET = dict(type='ResNetV1c', depth=18, base_channels=8, num_stages=4, out_indices=(0, 1, 2, 3), strides=(1, 2, 1, 1),
              dilations=(1, 1, 2, 4), norm_cfg=BN, contract_dilation=True, stem_channels=8)
FCN = dict(type='FCNHead', in_channels=32, in_index=2, channels=8, num_convs=1, num_classes=3, norm_cfg=BN)
NETWORKS = dict(
    psp_with_auxiliary_head=dict(
        backbone=RESNET,
        decode_head=dict(type='PSPHead', in_channels=64, in_index=3, channels=8, num_classes=3, norm_cfg=BN),
        auxiliary_head=dict(FCN, loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4))),
    segformer=dict(
        backbone=dict(type='MixVisionTransformer', embed_dims=8, num_heads=[1, 2, 4, 8], num_layers=[1, 1, 1, 1]),
        decode_head=dict(type='SegformerHead', in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3], channels=8,
                         num_classes=3, norm_cfg=BN)),
    head_with_its_own_loss=dict(backbone=RESNET, decode_head=dict(FCN, type='OwnLossHead')),
    head_with_its_own_prediction=dict(
        backbone=RESNET,
        decode_head=dict(type='EncHead', in_channels=[16, 32, 64], in_index=[1, 2, 3], channels=8, num_codes=4,
                         num_classes=3, norm_cfg=BN, use_se_loss=True)),
    several_outputs_in_training=dict(
        backbone=dict(type='DDRNet', channels=8, ppm_channels=8, norm_cfg=BN),
        decode_head=dict(type='DDRHead', in_channels=32, channels=8, num_classes=3, norm_cfg=BN,
                         loss_decode=[dict(type='CrossEntropyLoss'), dict(type='CrossEntropyLoss', loss_weight=0.4)])),
    cascade=dict(
        type='CascadeEncoderDecoder', num_stages=2, backbone=RESNET,
        decode_head=[FCN, dict(type='OCRHead', in_channels=64, in_index=3, channels=8, ocr_channels=8, num_classes=3,
                               norm_cfg=BN)]),
)


class TestOtherNetworks:

    @pytest.mark.parametrize('name', NETWORKS)
    def test_loss_and_prediction(self, make_model, make_batch, name):
        cfg = dict(type='EncoderDecoder', train_cfg={}, test_cfg=dict(mode='whole')) | copy.deepcopy(NETWORKS[name])
        model = make_model(cfg, consistency=dict(tau=0.0))
        images, samples = make_batch()
        total, logs = step(model, (images / 255, samples))
        total.backward()
        assert torch.isfinite(total)
        assert logs['loss_u'] > 0
        assert model.segmentor.backbone.state_dict()
        gradients = [parameter.grad for parameter in model.segmentor.backbone.parameters()]
        assert any(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)
        model.eval()
        with torch.no_grad():
            predictions = model.predict(images / 255, samples)
        assert predictions[3].pred_sem_seg.data.shape == (1, 32, 32)
        assert predictions[3].pred_sem_seg.data.max() < 3

    def test_auxiliary_loss_is_part_of_loss_x(self, make_model, make_batch):
        cfg = dict(type='EncoderDecoder', **copy.deepcopy(NETWORKS['psp_with_auxiliary_head']))
        model = make_model(cfg)
        images, samples = make_batch()
        batch = model.split(images, samples)
        torch.manual_seed(0)
        losses, [logits] = model.forward_student(batch, [View(batch.weak, None)])
        assert {'loss_x', 'decode.acc_seg', 'aux.acc_seg'} == set(losses)
        assert logits.shape == (2, 3, 32, 32)
        torch.manual_seed(0)
        features = model.segmentor.extract_feat(images)
        terms = model.loss_labeled([level[:2] for level in features], model.decode(features)[:2], samples[:2])
        assert {'decode.loss_ce', 'decode.acc_seg', 'aux.loss_ce', 'aux.acc_seg'} == set(terms)
        assert losses['loss_x'].item() == pytest.approx((terms['decode.loss_ce'] + terms['aux.loss_ce']).item())

    def test_labeled_and_strong_views_share_one_pass(self, make_model, make_batch):
        model = make_model()
        calls = []
        model.segmentor.backbone.register_forward_pre_hook(lambda module, args: calls.append(len(args[0])))
        step(model, make_batch())
        assert calls == [2, 4]  # weak views, then labeled and strong ones

    def test_heads_with_a_loss_of_their_own_keep_their_modes(self, make_model, make_batch):
        """While such a head gives its prediction for strong views, norms inside go on counting batches."""
        model = make_model(dict(type='EncoderDecoder', **copy.deepcopy(NETWORKS['several_outputs_in_training'])))
        norms = [module for module in model.segmentor.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        images, samples = make_batch()
        batch = model.split(images, samples)
        model.forward_student(batch, [View(batch.weak, None)])
        assert {int(norm.num_batches_tracked) for norm in norms if int(norm.num_batches_tracked)} == {1, 2}
        assert all(module.training for module in model.segmentor.modules())

    def test_scope_of_the_registry(self):
        assert ROOT_MODELS.get('s5_mm.FixMatchSegmentor') is FixMatchSegmentor


def test_whole_step_through_the_preprocessor(make_model, make_sample):
    """From bytes as a loader gives them to a step of the optimizer."""
    from mmengine.optim import OptimWrapper
    model = make_model(data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[100.0] * 3, std=[50.0] * 3, bgr_to_rgb=True, size=(32, 32)))
    generator = np.random.RandomState(0)
    sources = ('labeled', 'labeled', 'unlabeled', 'unlabeled')
    data = dict(
        inputs=[torch.tensor(generator.randint(0, 256, (3, 32, 32), dtype=np.uint8)) for _ in sources],
        data_samples=[make_sample(name, np.zeros((32, 32))) for name in sources])
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.05))
    losses = [model.train_step(data, wrapper)['loss_x'].item() for _ in range(8)]
    assert losses[-1] < losses[0]


def test_class_weights_of_another_number_of_classes_are_an_error(make_model):
    with pytest.raises(ValueError, match=r'class_weight has 2 numbers, the decode head 3 classes; give one number'):
        make_model(consistency=dict(class_weight=[1.0, 1.0]))

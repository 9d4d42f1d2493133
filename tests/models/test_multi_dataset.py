"""The segmentor of several datasets: published values, mixed batches, losses, files that load into it, merging."""
import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import build_optim_wrapper
from mmseg.structures import SegDataSample

from s5_mm.checkpoints import load_weights, replace_pretrained
from s5_mm.checkpoints.segmentor import merge_segmentor
from s5_mm.models.multi_dataset import batch_check
from s5_mm.models.segmentors.merging import merged_config
from s5_mm.registry import MODELS

MAE_NAMES = {'layers.': 'blocks.', '.ffn.blocks.0.0.': '.mlp.fc1.', '.ffn.blocks.1.': '.mlp.fc2.', '.ln': '.norm',
             '.projection': '.proj'}
MIXED = ('green', 'red', 'red', 'green')
LAYER_DECAY = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
    constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.5, norm_decay_mult=0.0, custom_keys=dict(pos_embed=dict(decay_mult=0.0))))


def randomized(cfg, seed=0):
    torch.manual_seed(seed)
    model = MODELS.build(ConfigDict(copy.deepcopy(cfg)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    model.eval()
    return model


@pytest.fixture
def batch(make_sample):
    """Images and samples of the named datasets; ids that every one has."""
    def make(names=MIXED, seed=3):
        rng = torch.Generator().manual_seed(seed)
        samples = [make_sample(name, torch.randint(0, 3, (32, 32), generator=rng)) for name in names]
        return torch.randn(len(names), 3, 32, 32, generator=rng), samples
    return make


@pytest.fixture
def training():
    """Tell the message hub how far training is."""
    hub = MessageHub.get_current_instance()

    def progress(step, steps):
        hub.update_info('iter', step)
        hub.update_info('max_iters', steps)
    yield progress
    hub.runtime_info.pop('iter', None)
    hub.runtime_info.pop('max_iters', None)


def published_config(golden, **kwargs):
    classes = dict(vaihingen=5, potsdam=5, openearthmap=9, loveda=7)
    return dict(
        type='s5_mm.MultiDatasetSegmentor',
        backbone=dict(type='s5_mm.ViT', arch=golden.arch, img_size=golden.img_size),
        experts=dict(part_features=golden.part_features, order=golden.expert_order),
        decode_head=dict(type='s5_mm.S5UPerHead', in_index=[0, 1, 2, 3], channels=256, norm_cfg=dict(type='BN')),
        datasets={name: dict(num_classes=number) for name, number in sorted(classes.items())}) | kwargs


class TestPublishedFunction:

    @pytest.fixture
    def published_file(self, golden_mdf, tmp_path):
        torch.save({'model': {f'module.{k}': v for k, v in golden_mdf.weights.items()}}, tmp_path / 'mdf.pth')
        return str(tmp_path / 'mdf.pth')

    @pytest.mark.parametrize('way', ['load_from', 'init_cfg'])
    def test_logits(self, golden_mdf, published_file, make_sample, way):
        """One batch of all datasets, from the published file."""
        cfg = published_config(golden_mdf)
        if way == 'init_cfg':
            cfg['init_cfg'] = dict(type='Pretrained', checkpoint=published_file)
        model = MODELS.build(cfg)
        if way == 'init_cfg':
            replace_pretrained(model)
            model.init_weights()
        else:
            load_weights(model, published_file)
        model.eval()
        names = ['loveda', 'vaihingen', 'openearthmap', 'potsdam'] * 2
        meta = dict(img_shape=(64, 64), pad_shape=(64, 64), ori_shape=(64, 64))
        samples = [SegDataSample(metainfo=dict(meta, dataset_name=name)) for name in names]
        with torch.no_grad():
            model.predict(golden_mdf.images.repeat_interleave(4, dim=0), samples)
        for i, name in enumerate(names):
            logits = samples[i].seg_logits.data[:, ::4, ::4]
            assert (logits - torch.tensor(golden_mdf.arrays[f'mdf_{name}_logits'][i // 4])).abs().max() < 1e-4

    def test_parts_are_used_and_the_unused_classifiers_are_not(self, golden_mdf, published_file):
        model = MODELS.build(published_config(golden_mdf))
        report = load_weights(model, published_file)
        assert report.adapter == 'published MoE-MDF segmentor'
        assert not report.initial
        assert not report.unfit
        assert sorted(report.dropped) == ['unused.encoder.cls_token', *(
            f'unused.semsegdecoder{name}.decode_head.conv_seg.{part}' for name in (
                '', '_OpenEarthMap', '_loveda', '_potsdam') for part in ('bias', 'weight'))]

    def test_s4p_start(self, golden, golden_mdf, tmp_path):
        """The published S4P segmentor: encoder, and its decoder in every dataset's head; classifiers stay new."""
        torch.save({'model': {f'module.{k}': v for k, v in golden.weights.items()}}, tmp_path / 's4p.pth')
        model = randomized(published_config(golden_mdf))
        before = model.decode_heads['loveda'].conv_seg.weight.clone()
        load_weights(model, str(tmp_path / 's4p.pth'), encoder_only=True)
        bottleneck = golden.weights['semsegdecoder.decode_head.bottleneck.conv.weight']
        for name in golden_mdf.expert_order:
            assert torch.equal(model.decode_heads[name].bottleneck.conv.weight, bottleneck)
            rows = golden.weights['encoder.layers.1.ffn.layers.1.weight'][-golden_mdf.part_features:]
            assert torch.equal(model.backbone.layers[1].ffn.layers[1].experts[name].weight, rows)
        assert torch.equal(model.decode_heads['loveda'].conv_seg.weight, before)
        assert torch.equal(model.decode_heads['loveda'].bottleneck.bn.running_mean,
                           golden.weights['semsegdecoder.decode_head.bottleneck.bn.running_mean'])


class TestMixedBatch:

    @pytest.mark.parametrize('training_mode', [False, True])
    @pytest.mark.parametrize('names', [MIXED, ('red', 'red', 'green', 'green')])
    def test_losses_and_gradients_equal_separate_forwards(self, multi_segmentor, batch, names, training_mode):
        model = randomized(multi_segmentor()).train(training_mode)
        twin = copy.deepcopy(model)
        images, samples = batch(names)
        mixed = model.loss(images, samples)
        sum(value for key, value in mixed.items() if 'loss' in key).backward()
        for name in ('red', 'green'):
            own = [i for i, other in enumerate(names) if other == name]
            losses = twin.loss(images[own], [samples[i] for i in own])
            sum(value for key, value in losses.items() if 'loss' in key).backward()
            assert {key for key in losses if key != 'loss_absent'} == {f'{name}.loss_ce', f'{name}.acc_seg'}
            assert all(torch.allclose(mixed[key], losses[key], atol=1e-5) for key in mixed if key.startswith(name))
        for (name, one), two in zip(model.named_parameters(), twin.parameters(), strict=True):
            assert torch.allclose(one.grad, two.grad, rtol=1e-3, atol=1e-5), name
        for one, two in zip(model.buffers(), twin.buffers(), strict=True):
            assert torch.allclose(one.float(), two.float(), atol=1e-5)

    def test_predictions_equal_separate_ones_and_keep_the_order(self, multi_segmentor, batch):
        model = randomized(multi_segmentor())
        images, samples = batch()
        with torch.no_grad():
            predicted = model.predict(images, samples)
            assert [sample.seg_logits.data.shape[0] for sample in predicted] == [4, 3, 3, 4]
            for i, name in enumerate(MIXED):
                logits = model.encode_decode(images[i:i + 1], [dict(dataset_name=name)])
                assert torch.allclose(predicted[i].seg_logits.data, logits[0], atol=1e-5)
                assert torch.equal(predicted[i].pred_sem_seg.data[0], predicted[i].seg_logits.data.argmax(dim=0))

    def test_experts_and_heads_get_nothing_from_other_data_sets(self, multi_segmentor, batch):
        model = randomized(multi_segmentor())
        losses = model.loss(*batch())
        losses['red.loss_ce'].backward()
        assert all(parameter.grad is None or parameter.grad.abs().max() == 0
                   for parameter in model.parameters_of('green'))
        assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters_of('red') if parameter.ndim > 1)

    def test_absent_data_set_gets_zero_gradients(self, multi_segmentor, batch):
        model = randomized(multi_segmentor()).train()
        total, logged = model.parse_losses(model.loss(*batch(('red', 'red'))))
        total.backward()
        assert logged['loss'] == logged['red.loss_ce']
        assert all(parameter.grad is not None for parameter in model.parameters())
        assert all(parameter.grad.abs().max() == 0 for parameter in model.parameters_of('green'))

    def test_tensor_mode(self, multi_segmentor, batch):
        logits = randomized(multi_segmentor())(*batch(), mode='tensor')
        assert {name: tuple(value.shape) for name, value in logits.items()} == dict(
            red=(2, 3, 16, 16), green=(2, 4, 16, 16))

    @pytest.mark.parametrize('name', ['blue', None])
    @pytest.mark.parametrize('mode', ['loss', 'predict', 'tensor'])
    def test_unknown_and_missing_names(self, multi_segmentor, batch, name, mode):
        with pytest.raises(ValueError, match=rf"dataset_name is {name!r}, the model has \['red', 'green'\]"):
            randomized(multi_segmentor())(*batch((name, )), mode=mode)

    def test_without_samples(self, multi_segmentor):
        with pytest.raises(ValueError, match=r"dataset_name is None, the model has \['red', 'green'\]"):
            randomized(multi_segmentor())(torch.zeros(1, 3, 32, 32), mode='predict')

    def test_logits_of_two_data_sets_at_once(self, multi_segmentor):
        with pytest.raises(ValueError, match=r"images of \['red', 'green'\] have no common classes"):
            randomized(multi_segmentor()).encode_decode(
                torch.zeros(2, 3, 32, 32), [dict(dataset_name='red'), dict(dataset_name='green')])

    def test_encoder_without_route(self, multi_segmentor, tiny_vit, batch):
        """Any encoder can be shared entirely."""
        model = randomized(multi_segmentor(experts=None))
        losses = model.loss(*batch())
        assert {'red.loss_ce', 'green.loss_ce'} <= set(losses)
        assert len(model.predict(*batch())) == 4


class TestSettings:

    def test_losses_are_weighted(self, multi_segmentor, batch):
        plain, weighted = (randomized(multi_segmentor(datasets=dict(
            red=dict(num_classes=3, **extra), green=dict(num_classes=4)))).loss(*batch())
            for extra in ({}, dict(loss_weight=0.25)))
        assert weighted['red.loss_ce'].item() == pytest.approx(plain['red.loss_ce'].item() / 4)
        assert weighted['green.loss_ce'].item() == plain['green.loss_ce'].item()
        assert weighted['red.acc_seg'].item() == plain['red.acc_seg'].item()

    def test_start(self, multi_segmentor, batch, training):
        """Before its start a dataset's losses weigh nothing, yet all parameters get gradients."""
        model = randomized(multi_segmentor(datasets=dict(
            red=dict(num_classes=3, start=0.7), green=dict(num_classes=4))))
        training(69, 100)
        losses = model.loss(*batch())
        assert losses['red.loss_ce'] == 0
        assert losses['green.loss_ce'] > 0
        model.parse_losses(losses)[0].backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        assert all(parameter.grad.abs().max() == 0 for parameter in model.parameters_of('red'))
        training(70, 100)
        assert model.loss(*batch())['red.loss_ce'] > 0

    def test_without_a_runner_every_loss_counts(self, multi_segmentor, batch):
        model = randomized(multi_segmentor(datasets=dict(red=dict(num_classes=3, start=0.7))))
        assert model.loss(*batch(('red', 'red')))['red.loss_ce'] > 0

    def test_heads(self, multi_segmentor):
        head = dict(channels=16, loss_decode=dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0, 3.0]))
        other = dict(_delete_=True, type='FCNHead', in_channels=16, in_index=2, channels=4)
        model = MODELS.build(multi_segmentor(datasets=dict(
            red=dict(num_classes=3, ignore_index=0, decode_head=head), green=dict(num_classes=4, decode_head=other))))
        red, green = model.decode_heads['red'], model.decode_heads['green']
        assert (red.channels, red.ignore_index, red.num_classes) == (16, 0, 3)
        assert red.loss_decode.class_weight == [1.0, 2.0, 3.0]
        assert (type(green).__name__, green.channels, green.num_classes, green.ignore_index) == ('FCNHead', 4, 4, 255)

    def test_classifiers_start_as_mmseg_starts_them(self, multi_segmentor):
        """Normal of standard deviation 0.01, bias 0."""
        model = MODELS.build(multi_segmentor())
        model.init_weights()
        for head in model.decode_heads.values():
            assert 0 < head.conv_seg.weight.std() < 0.02
            assert (head.conv_seg.bias == 0).all()

    def test_test_protocol_is_the_data_sets_own(self, multi_segmentor, batch):
        sizes = []
        model = randomized(multi_segmentor(
            test_cfg=dict(mode='whole'),
            datasets=dict(red=dict(num_classes=3, test_cfg=dict(mode='slide', crop_size=(16, 16), stride=(16, 16))),
                          green=dict(num_classes=4))))
        model.backbone.register_forward_pre_hook(lambda _, args: sizes.append(tuple(args[0].shape)))
        model.predict(*batch(('red', 'green')))
        assert sizes == [(1, 3, 16, 16)] * 4 + [(1, 3, 32, 32)]

    def test_nothing_but_ignored_pixels(self, multi_segmentor, batch):
        cfg = multi_segmentor()
        cfg['decode_head']['loss_decode'] = dict(type='CrossEntropyLoss', avg_non_ignore=True)
        model = randomized(cfg).train()
        images, samples = batch()
        for sample in (samples[1], samples[2]):
            sample.gt_sem_seg.data.fill_(255)
        losses = model.loss(images, samples)
        sum(value for key, value in losses.items() if 'loss' in key).backward()
        assert losses['red.loss_ce'] == 0
        assert torch.isfinite(losses['red.acc_seg']).all()
        assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())

    @pytest.mark.parametrize(('settings', 'message'), [
        ({}, r"datasets\['red'\] has no num_classes; num_classes is needed, allowed are \['num_classes', 'loss_w"),
        (None, r"datasets\['red'\] is None; it must be a dict with num_classes"),
        (dict(num_classes=3, strat=0.7), r"datasets\['red'\] has unknown keys \['strat'\]"),
        (dict(num_classes=0), r"datasets\['red'\]\.num_classes is 0; num_classes must be at least 1"),
        (dict(num_classes=3, loss_weight=-1), r"datasets\['red'\]\.loss_weight is -1"),
        (dict(num_classes=3, start=1.0), r"datasets\['red'\]\.start is 1\.0; .* start in \[0, 1\)"),
        (dict(num_classes=3, test_cfg=dict(mode='half')), "mode is 'half'; choose from"),
    ])
    def test_wrong_ones(self, multi_segmentor, settings, message):
        with pytest.raises(ValueError, match=message):
            MODELS.build(multi_segmentor(datasets=dict(red=settings)))

    def test_frozen(self, multi_segmentor, batch):
        model = randomized(multi_segmentor(frozen_except=['green'])).train()
        trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        assert trained == {id(parameter) for parameter in model.parameters_of('green')}
        model.check_batch(dict(green=2))
        model.check_batch(dict(green=2, red=1))
        before = [value.clone() for value in model.decode_heads['red'].state_dict().values()]
        model.parse_losses(model.loss(*batch()))[0].backward()
        assert all(map(torch.equal, before, model.decode_heads['red'].state_dict().values()))
        assert all(parameter.grad is not None for parameter in model.parameters_of('green'))
        with pytest.raises(ValueError, match=r"frozen_except names \['blue'\]; choose from \('red', 'green'\)"):
            MODELS.build(multi_segmentor(frozen_except=['blue']))

    @pytest.mark.parametrize('trained', [['green'], []])
    def test_frozen_data_sets_keep_their_results_under_batch_norm(self, multi_segmentor, batch, trained):
        """Encoder and neck have batch norms, whose statistics every dataset's results depend on."""
        model = randomized(multi_segmentor(frozen_except=trained, experts=None) | dict(
            backbone=dict(type='ResNet', depth=18, stem_channels=4, base_channels=4, norm_cfg=dict(type='BN')),
            neck=dict(type='FPN', in_channels=[4, 8, 16, 32], out_channels=16, num_outs=4, norm_cfg=dict(type='BN'))))
        images, samples = batch(('red', 'red'))

        def scores():
            model.eval()
            with torch.no_grad():
                return torch.stack([one.seg_logits.data for one in model.predict(images, copy.deepcopy(samples))])
        before = scores()
        optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
        model.train()
        for seed in range(2):
            model.parse_losses(model.loss(*batch(('green', ) * 4, seed)))[0].backward()
            optimizer.step()
        assert torch.equal(scores(), before) == bool(trained)


class TestBatchCheck:

    def test_names(self, multi_segmentor):
        model = MODELS.build(multi_segmentor())
        model.check_batch(dict(green=2, red=2))
        for numbers in (dict(red=2), dict(red=2, green=2, blue=2)):
            with pytest.raises(ValueError, match=r"Batches hold datasets \['red'.*, the model has \['red', 'green'\]"):
                model.check_batch(numbers)

    def test_one_image_under_batch_norm(self, multi_segmentor, batch):
        model = MODELS.build(multi_segmentor())
        told = "A batch holds 1 image of dataset 'red', whose decode head normalizes a 1x1 map .* needs 2; raise"
        with pytest.raises(ValueError, match=told):
            model.check_batch(dict(red=1, green=2))
        with pytest.raises(ValueError, match=told):
            model.loss(*batch(('red', 'green', 'green')))

    @pytest.mark.parametrize('norm', [dict(type='GN', num_groups=2), None])
    def test_one_image_is_enough_without_batch_norm(self, multi_segmentor, norm):
        cfg = multi_segmentor()
        cfg['decode_head']['norm_cfg'] = norm
        MODELS.build(cfg).check_batch(dict(red=1, green=1))

    def test_one_image_is_enough_without_pooling_to_a_pixel(self, multi_segmentor):
        head = dict(type='FCNHead', in_channels=16, in_index=2, channels=4, norm_cfg=dict(type='BN'))
        MODELS.build(multi_segmentor(decode_head=head)).check_batch(dict(red=1, green=1))

    def test_sync_bn(self, multi_segmentor, monkeypatch, batch):
        """An absent dataset would let the other processes wait; one image a process is enough for the norms."""
        cfg = multi_segmentor()
        cfg['decode_head']['norm_cfg'] = dict(type='SyncBN')
        model = MODELS.build(cfg)
        with pytest.raises(ValueError, match="holds 1 image of dataset 'red'"):
            model.check_batch(dict(red=1, green=1))
        monkeypatch.setattr(batch_check, 'get_world_size', lambda: 2)
        model.check_batch(dict(red=1, green=1))
        with pytest.raises(ValueError, match=r"no image of \['green'\], whose decode heads have SyncBN: the other"):
            model.train().loss(*batch(('red', 'red')))


class TestFiles:

    @pytest.mark.parametrize('kind', ['EncoderDecoder', 'student', 'teacher'])
    def test_our_dense_checkpoints(self, multi_segmentor, tiny_segmentor, tmp_path, kind):
        if kind == 'EncoderDecoder':
            source = evaluated = randomized(tiny_segmentor(), 5)
        else:
            teacher = None if kind == 'student' else {}
            source = randomized(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor(), teacher=teacher), 5)
            if teacher is not None:
                source.teacher.steps.fill_(3)
            evaluated = source.evaluated
        torch.save({'state_dict': source.state_dict()}, tmp_path / 'x.pth')
        model = randomized(multi_segmentor())
        before = model.decode_heads['red'].conv_seg.weight.clone()
        load_weights(model, str(tmp_path / 'x.pth'), encoder_only=True)
        rows = evaluated.backbone.layers[2].ffn.layers[1].weight
        assert torch.equal(model.backbone.layers[2].ffn.layers[1].weight, rows[:12])
        assert torch.equal(model.backbone.layers[2].ffn.layers[1].experts['green'].weight, rows[12:])
        for head in model.decode_heads.values():
            assert torch.equal(head.bottleneck.conv.weight, evaluated.decode_head.bottleneck.conv.weight)
        assert torch.equal(model.decode_heads['red'].conv_seg.weight, before)

    @pytest.mark.parametrize('names', [{}, MAE_NAMES], ids=['ours', 'MAE'])
    def test_encoder_alone(self, multi_segmentor, tiny_vit, tmp_path, names):
        vit = randomized(tiny_vit(), 5)
        weights = vit.state_dict()
        for ours, theirs in names.items():
            weights = {name.replace(ours, theirs): value for name, value in weights.items()
                       if not name.startswith('pyramid.')}
        torch.save({'model': weights}, tmp_path / 'x.pth')
        model = randomized(multi_segmentor())
        before = model.decode_heads['red'].bottleneck.conv.weight.clone()
        load_weights(model, str(tmp_path / 'x.pth'), encoder_only=True)
        assert torch.equal(model.backbone.pos_embed, vit.pos_embed)
        assert torch.equal(model.backbone.layers[1].ffn.layers[1].experts['red'].bias,
                           vit.layers[1].ffn.layers[1].bias[12:])
        assert torch.equal(model.backbone.layers[3].ln2.weight, vit.layers[3].ln2.weight)
        assert torch.equal(model.decode_heads['red'].bottleneck.conv.weight, before)

    def test_own_checkpoint_is_taken_as_it_is(self, multi_segmentor):
        first, second = randomized(multi_segmentor(), 1), randomized(multi_segmentor(), 2)
        load_weights(second, first.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

    def test_part_of_a_larger_model(self, multi_segmentor, tiny_segmentor):
        source, model = randomized(tiny_segmentor(), 5), randomized(multi_segmentor())
        load_weights(model, {f'net.{name}': value for name, value in source.state_dict().items()}, encoder_only=True)
        assert torch.equal(model.backbone.pos_embed, source.backbone.pos_embed)

    def test_other_encoder_is_refused(self, multi_segmentor, tmp_path):
        torch.save({'state_dict': randomized(multi_segmentor(
            experts=dict(part_features=8))).state_dict()}, tmp_path / 'x.pth')
        with pytest.raises(ValueError, match='share 8 channels among datasets, those of this encoder 12; set part_f'):
            load_weights(MODELS.build(multi_segmentor()), str(tmp_path / 'x.pth'), encoder_only=True)

    def test_several_encoders(self, multi_segmentor, tiny_vit):
        weights = {f'{root}.backbone.{name}': value for root in 'ab'
                   for name, value in randomized(tiny_vit()).state_dict().items()}
        with pytest.raises(ValueError, match=r"2 encoders, at \['a.backbone.', 'b.backbone.'\]; choose one with"):
            load_weights(MODELS.build(multi_segmentor()), weights, encoder_only=True)

    def test_report(self, multi_segmentor, tiny_segmentor, monkeypatch):
        lines = []
        logger = MMLogger.get_current_instance()
        monkeypatch.setattr(logger, 'info', lambda text, *args: lines.append(text % args))
        monkeypatch.setattr(logger, 'warning', lambda text, *args: lines.append(text % args))
        cfg = tiny_segmentor()
        cfg['decode_head']['channels'] = 16
        model = MODELS.build(multi_segmentor())
        load_weights(model, randomized(cfg).state_dict(), encoder_only=True)
        assert 'own names format' in lines[0]
        row = next(row for row in lines[0].splitlines() if 'left at initialization' in row)
        assert 'decode_heads.red.' in row
        assert 'start from their initialization: decode_heads.red.psp_modules' in lines[1]


class TestFold:

    @pytest.mark.parametrize('experts', [dict(part_features=4), None])
    @pytest.mark.parametrize('dataset', ['red', 'green'])
    def test_same_outputs(self, multi_segmentor, batch, experts, dataset):
        cfg = multi_segmentor(experts=experts)
        model = randomized(cfg)
        plain = MODELS.build(ConfigDict(merged_config(cfg, dataset)))
        plain.load_state_dict(merge_segmentor(model.state_dict(), dataset))
        plain.eval()
        images, samples = batch((dataset, dataset))
        with torch.no_grad():
            expected = model.predict(images, copy.deepcopy(samples))
            for one, two in zip(plain.predict(images, samples), expected, strict=True):
                assert torch.allclose(one.seg_logits.data, two.seg_logits.data, atol=1e-6)

    def test_it_is_the_dense_model(self, multi_segmentor, tiny_segmentor):
        plain = MODELS.build(ConfigDict(merged_config(multi_segmentor(), 'red')))
        dense = MODELS.build(tiny_segmentor())
        assert {name: value.shape for name, value in plain.named_parameters()} == {
            name: value.shape for name, value in dense.named_parameters()}

    @pytest.mark.parametrize('test_cfg', [
        dict(mode='slide', crop_size=(16, 16), stride=(8, 8)), dict(mode='whole', flip=True),
        dict(mode='resize', size=(16, 16))])
    def test_protocol_is_kept(self, multi_segmentor, batch, test_cfg):
        cfg = multi_segmentor(datasets=dict(red=dict(num_classes=3, test_cfg=test_cfg)))
        merged = merged_config(cfg, 'red')
        model, plain = randomized(cfg), MODELS.build(ConfigDict(merged))
        plain.load_state_dict(merge_segmentor(model.state_dict(), 'red'))
        plain.eval()
        images, samples = batch(('red', ))
        with torch.no_grad():
            expected = model.predict(images, copy.deepcopy(samples))[0].seg_logits.data
            assert torch.allclose(plain.predict(images, samples)[0].seg_logits.data, expected, atol=1e-6)

    def test_unknown_data_set(self, multi_segmentor, tiny_segmentor):
        with pytest.raises(ValueError, match=r"has no dataset 'blue'; its datasets are \['red', 'green'\]"):
            merged_config(multi_segmentor(), 'blue')
        with pytest.raises(ValueError, match='is a MultiDatasetDetector without decode_head; only a MultiDatasetS'):
            merged_config(dict(type='MultiDatasetDetector', datasets=dict(blue={})), 'blue')
        with pytest.raises(ValueError, match=r"has no dataset 'blue'; choose one of \['red', 'green'\]"):
            merge_segmentor(MODELS.build(multi_segmentor()).state_dict(), 'blue')
        with pytest.raises(ValueError, match='The checkpoint is not of a MultiDatasetSegmentor'):
            merge_segmentor(MODELS.build(tiny_segmentor()).state_dict(), 'red')


class TestLayerDecay:
    """With mmpretrain's constructor; 4 blocks, so depths 0 to 5 and rates 0.5 ** (5 - depth)."""

    @staticmethod
    def rates(model):
        groups = build_optim_wrapper(model, ConfigDict(LAYER_DECAY)).optimizer.param_groups
        return {group['param_name']: group['lr'] for group in groups}

    def test_experts_are_at_their_blocks_depth_and_heads_at_the_last(self, multi_segmentor):
        model = MODELS.build(multi_segmentor())
        rates = self.rates(model)
        assert set(rates) == {name for name, _ in model.named_parameters()}
        assert rates['backbone.pos_embed'] == rates['backbone.patch_embed.projection.weight'] == 0.5**5
        for block in range(4):
            for name in ('attn.qkv.weight', 'ffn.layers.1.weight', 'ffn.layers.1.experts.red.weight',
                         'ffn.layers.1.experts.green.bias'):
                assert rates[f'backbone.layers.{block}.{name}'] == 0.5**(4 - block)
        assert {rates[name] for name in rates if name.startswith(('decode_heads.', 'backbone.pyramid.'))} == {1.0}

    @pytest.mark.parametrize('kind', ['s5_mm.S5EncoderDecoder', 's5_mm.FixMatchSegmentor'])
    def test_other_segmentors(self, tiny_segmentor, kind):
        cfg = tiny_segmentor(type=kind)
        root = ''
        if 'FixMatch' in kind:
            cfg, root = dict(type=kind, segmentor=tiny_segmentor(), teacher={}), 'segmentor.'
        rates = self.rates(MODELS.build(ConfigDict(cfg)))
        assert rates[f'{root}backbone.patch_embed.projection.bias'] == 0.5**5
        assert rates[f'{root}backbone.layers.3.attn.proj.weight'] == 0.5
        assert rates[f'{root}decode_head.conv_seg.weight'] == 1.0
        assert not [name for name in rates if name.startswith('teacher.')]

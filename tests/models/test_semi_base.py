"""The base of semi-supervised segmentors: a second method on it, further losses, names of sources."""
import inspect
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from torch import nn

from s5_mm.engine import MeanTeacherHook
from s5_mm.models import FixMatchSegmentor, SemiBaseSegmentor
from s5_mm.models.segmentors.image_metas import image_metas
from s5_mm.registry import MODELS

ROOT = Path(__file__).parents[2]


@MODELS.register_module()
class UniMatchV2Segmentor(FixMatchSegmentor):
    """UniMatch V2 (arXiv 2410.10777): two strong views of each image with complementary channels of the features."""

    def strong_views(self, batch, target):
        """Two independent views, each distorted and mixed."""
        return super().strong_views(batch, target) + super().strong_views(batch, target)

    def partner(self, view):
        """CutMix takes its partner from the reversed batch."""
        return view.map(lambda x: x.flip(0))

    def perturb_features(self, features, num_labeled):
        """Drop channels of the strong views; the mask is the same for all levels."""
        channels = features[0].shape[1]
        mask = self.channel_mask((len(features[0]) - num_labeled) // 2, channels)
        mask = torch.cat([torch.ones(num_labeled, channels), mask]).to(features[0])
        return tuple(level * mask[:, :, None, None] for level in features)

    def channel_mask(self, num_pairs, channels):
        """Factors (2 * num_pairs, channels): what is 2 in one view is 0 in the other; half of the pairs keep all."""
        mask = 2 * torch.bernoulli(torch.full((num_pairs, channels), 0.5))
        mask[torch.randperm(num_pairs)[:num_pairs // 2]] = 1
        return torch.cat([mask, 2 - mask])


@MMSEG_MODELS.register_module()
class GoldenBackbone(nn.Sequential):
    """The encoder that the published steps were computed with."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())

    def forward(self, inputs):
        return (super().forward(inputs), )


class PublishedSteps(UniMatchV2Segmentor):
    """The published order of passes, with the published random numbers instead of drawn ones."""

    def set_step(self, step):
        self.mask = step['dropmask']
        self.distorted = iter([step['img_u_s1'], step['img_u_s2']])
        boxes = iter([step['box1'], step['box2']])
        self.cutmix.boxes = lambda *args, **kwargs: next(boxes)

    def distort(self, weak):
        return next(self.distorted)

    def channel_mask(self, num_pairs, channels):
        return self.mask

    def forward_student(self, batch, views):
        """The labeled images alone, then the strong views together: batch norms see them apart."""
        losses = self.segmentor.loss(batch.labeled, batch.labeled_samples)
        images = torch.cat([view.images for view in views])
        logits = self.decode(self.perturb_features(self.segmentor.extract_feat(images), 0))
        logits = self.segmentor.decode_head.predict_by_feat(logits, image_metas(images))
        return dict(loss_x=losses['decode.loss_ce']), list(logits.chunk(len(views)))


class TestUniMatchV2:

    @pytest.fixture(scope='class')
    def published(self):
        arrays = np.load(ROOT / 'tests/golden/unimatch_v2.npz')
        return {name: torch.tensor(arrays[name]) for name in arrays.files}

    def build(self, kind, tau=0.5, **options):
        segmentor = dict(
            type='EncoderDecoder', train_cfg={}, test_cfg=dict(mode='whole'), backbone=dict(type='GoldenBackbone'),
            decode_head=dict(type='FCNHead', num_convs=0, concat_input=False, in_channels=6, channels=6, num_classes=5,
                             dropout_ratio=0, in_index=0,
                             loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
        return kind(segmentor, consistency=dict(tau=tau), **options).train()

    def batch(self, step):
        samples = []
        for source, maps in (('labeled', step['mask_x']), ('unlabeled', step['ignore'])):
            for mask in maps:
                samples.append(SegDataSample(metainfo=dict(dataset_name=source, img_shape=(12, 12))))
                samples[-1].gt_sem_seg = PixelData(data=mask[None].long())
        return torch.cat([step['img_x'], step['img_u_w']]), samples

    def test_three_published_steps(self, published):
        """Losses, share of confident pixels, and both networks after the step."""
        model = self.build(PublishedSteps, teacher={})
        network = model.segmentor
        named = {'cls.': 'decode_head.conv_seg.', 'backbone.': 'backbone.'}
        names = {old + name.removeprefix(new): name for old, new in named.items() for name in network.state_dict()
                 if name.startswith(new)}
        network.load_state_dict({name: published[f'init_{old}'] for old, name in names.items()})
        optimizer = torch.optim.AdamW([dict(params=network.backbone.parameters(), lr=5e-4),
                                       dict(params=network.decode_head.parameters(), lr=40 * 5e-4)], weight_decay=0.01)
        runner = SimpleNamespace(model=model, optim_wrapper=SimpleNamespace(should_update=lambda: True))
        hook = MeanTeacherHook()
        hook.before_train(runner)
        for i in range(3):
            step = {name.removeprefix(f'{i}_'): value for name, value in published.items() if name.startswith(f'{i}_')}
            images, samples = self.batch(step)
            target = model.pseudo_label(model.split(images, samples))
            model.set_step(step)
            loss, logs = model.parse_losses(model.loss(images, samples))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            hook.after_train_iter(runner, i)
            for group, factor in zip(optimizer.param_groups, (1, 40), strict=True):
                group['lr'] = factor * published['lr_set_after'][i].item()

            share = model.consistency.confident(target).sum() / target.valid.sum()
            found = dict(loss_x=logs['loss_x'], loss_u_s=logs['loss_u'], loss=loss, mask_ratio=share)
            for name, value in found.items():
                assert value.item() == pytest.approx(published[name][i].item(), abs=1e-6), (i, name)
            for kind, state in (('student', network.state_dict()), ('teacher', model.teacher.module.state_dict())):
                for old, name in names.items():
                    if 'tracked' not in old:
                        assert torch.allclose(state[name], step[f'{kind}_{old}'], atol=1e-6), (i, kind, name)

    def test_channels_are_complementary(self):
        mask = self.build(UniMatchV2Segmentor).channel_mask(5, 100)
        first, second = mask.chunk(2)
        assert torch.equal(first + second, torch.full((5, 100), 2.0))
        assert (first == 1).all(dim=1).sum() == 2
        assert {0, 1, 2} == set(first.flatten().tolist())

    def test_one_pass_perturbs_the_strong_views_alone(self, published, monkeypatch):
        """The mask that drops all of both views leaves the labeled loss as it is."""
        step = {name.removeprefix('0_'): value for name, value in published.items() if name.startswith('0_')}
        losses = []
        for mask in (torch.ones(8, 6), torch.zeros(8, 6)):
            torch.manual_seed(0)
            np.random.seed(0)
            model = self.build(UniMatchV2Segmentor, tau=0)
            monkeypatch.setattr(model, 'channel_mask', lambda *args, mask=mask: mask)
            views = []
            model.observer = views.append
            losses.append(model.loss(*self.batch(step)))
        assert losses[0]['loss_x'] == losses[1]['loss_x']
        assert losses[0]['loss_u'] != losses[1]['loss_u']
        assert [tuple(logits.shape) for logits in views[0].logits] == [(4, 5, 12, 12)] * 2
        bias = model.segmentor.decode_head.conv_seg.bias[:, None, None].expand(5, 12, 12)
        assert torch.allclose(views[0].logits[1][3], bias)

    def test_heads_of_several_outputs_are_refused(self, tiny_segmentor):
        cfg = tiny_segmentor()
        cfg['decode_head'] = dict(type='EncHead', in_channels=[16] * 3, in_index=[1, 2, 3], channels=8, num_codes=4,
                                  num_classes=3)
        with pytest.raises(ValueError, match='UniMatchV2Segmentor perturbs features, which needs a decode head .*'
                                             'EncHead has a loss or a prediction of its own'):
            UniMatchV2Segmentor(cfg)

    def test_it_is_the_documented_example(self):
        docs = ''.join(path.read_text() for path in (ROOT / 'docs').glob('extending*.md'))
        assert inspect.getsource(UniMatchV2Segmentor) in docs


class WithFurtherLoss(FixMatchSegmentor):

    def loss_unlabeled(self, logits, views):
        further = 100 + 0 * logits[0].sum() + self.segmentor.backbone.pos_embed.sum()
        return super().loss_unlabeled(logits, views) | dict(loss_further=further)


@pytest.fixture
def batch(make_sample):
    generator = np.random.RandomState(0)
    images = torch.tensor(generator.rand(4, 3, 32, 32), dtype=torch.float32)
    return images, [make_sample(name, np.zeros((32, 32))) for name in ('crops', 'crops', 'pool', 'pool')]


@pytest.mark.parametrize(('weights', 'factor'), [({}, 1), (dict(loss_further=0.25), 0.25)])
def test_every_loss_is_optimized(tiny_segmentor, batch, weights, factor):
    gradients = []
    for kind in (FixMatchSegmentor, WithFurtherLoss):
        torch.manual_seed(0)
        np.random.seed(0)
        model = kind(tiny_segmentor(), unlabeled_weight=0.5, labeled='crops', unlabeled='pool').train()
        model.loss_weights |= weights
        total, logs = model.parse_losses(model.loss(*batch))
        total.backward()
        gradients.append(model.segmentor.backbone.pos_embed.grad)
    further = 100 + model.segmentor.backbone.pos_embed.sum().item()
    assert logs['loss_further'].item() == pytest.approx(further, rel=1e-5)
    assert total.item() == pytest.approx(
        0.5 * logs['loss_x'].item() + 0.25 * logs['loss_u'].item() + factor * further, rel=1e-5)
    assert logs['loss'] == total
    assert torch.allclose(gradients[1] - gradients[0], torch.full_like(gradients[0], factor), atol=1e-5)


def test_a_method_must_make_views(tiny_segmentor, batch):
    model = SemiBaseSegmentor(tiny_segmentor(), labeled='crops', unlabeled='pool')
    with pytest.raises(NotImplementedError, match='SemiBaseSegmentor must implement strong_views'):
        model.loss(*batch)


def test_encoder_of_the_student_is_named(tiny_segmentor):
    model = FixMatchSegmentor(tiny_segmentor())
    assert model.get_submodule(model.encoder_prefix.removesuffix('.')) is model.segmentor.backbone

"""UniMatch V2 against the published steps."""
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from packaging.version import Version
from torch import nn

from s5_mm.engine import MeanTeacherHook
from s5_mm.models import PseudoLabel, UniMatchV2Segmentor, View

GOLDEN = Path(__file__).parents[1] / 'golden'


@MMSEG_MODELS.register_module()
class GoldenBackbone(nn.Sequential):
    """The encoder that the published steps were computed with."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())

    def forward(self, inputs):
        return (super().forward(inputs), )


def tolerance(name):
    """The gradient of a bias before batch norm is rounding alone, which AdamW enlarges, and which another torch has.

    The mean that batch norm keeps has the bias in it.
    """
    older = Version(torch.__version__) < Version('2.12')
    return 1e-3 if older and name in ('backbone.0.bias', 'backbone.1.running_mean') else 1e-6


class PublishedSteps(UniMatchV2Segmentor):
    """The published random numbers instead of drawn ones."""

    def set_step(self, step):
        self.mask = step['dropmask']
        self.distorted = iter([step['img_u_s1'], step['img_u_s2']])
        boxes = iter([step['box1'], step['box2']])
        self.cutmix.boxes = lambda *args, **kwargs: next(boxes)

    def distort(self, weak):
        return next(self.distorted)

    def channel_mask(self, num_pairs, channels, kept):
        return self.mask


class TestUniMatchV2:

    @pytest.fixture(scope='class')
    def published(self):
        arrays = np.load(GOLDEN / 'unimatch_v2.npz')
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

            share = model.consistency.counted(target).sum() / target.valid.sum()
            found = dict(loss_x=logs['loss_x'], loss_u_s=logs['loss_u'], loss=loss, mask_ratio=share)
            for name, value in found.items():
                assert value.item() == pytest.approx(published[name][i].item(), abs=1e-6), (i, name)
            for kind, state in (('student', network.state_dict()), ('teacher', model.teacher.module.state_dict())):
                for old, name in names.items():
                    if 'tracked' not in old:
                        expected = step[f'{kind}_{old}']
                        assert torch.allclose(state[name], expected, atol=tolerance(name)), (i, kind, name)

    @pytest.mark.parametrize('images', [2, 4, 6, 8])
    def test_published_channel_masks(self, published, monkeypatch, images):
        coin, kept = published[f'drop_B{images}_coin'], published[f'drop_B{images}_kept']
        monkeypatch.setattr(torch, 'bernoulli', lambda probs: coin)
        mask = self.build(UniMatchV2Segmentor).channel_mask(images // 2, 6, kept)
        assert torch.equal(mask, published[f'drop_B{images}_mask'])

    def test_half_of_the_pairs_keep_all_channels_of_all_levels(self):
        levels = tuple(torch.ones(2 + 10, width, 2, 3) for width in (40, 80, 40))
        found = self.build(UniMatchV2Segmentor).perturb_features(levels, 2)
        assert all((level[:2] == 1).all() for level in found)
        whole = []
        for level in found:
            first, second = level[2:].chunk(2)
            assert (first + second == 2).all()
            assert {0, 1, 2} == set(first.flatten().tolist())
            whole.append((first == 1).all(dim=(1, 2, 3)).tolist())
        assert sum(whole[0]) == 2
        assert whole[0] == whole[1] == whole[2]
        assert torch.equal(found[0], found[2])

    def test_partner_is_the_reversed_batch(self):
        numbers = torch.arange(3).reshape(3, 1, 1)
        partner = self.build(UniMatchV2Segmentor).partner(View(numbers[:, None], PseudoLabel(*[numbers] * 3)))
        assert partner.images.flatten().tolist() == partner.target.label.flatten().tolist() == [2, 1, 0]

    @pytest.mark.parametrize('shared_pass', [False, True])
    def test_strong_views_alone_are_perturbed(self, published, monkeypatch, shared_pass):
        """The mask that drops all of both views leaves the labeled loss as it is."""
        step = {name.removeprefix('0_'): value for name, value in published.items() if name.startswith('0_')}
        losses = []
        for mask in (torch.ones(8, 6), torch.zeros(8, 6)):
            torch.manual_seed(0)
            np.random.seed(0)
            model = self.build(UniMatchV2Segmentor, tau=0, shared_pass=shared_pass)
            monkeypatch.setattr(model, 'channel_mask', lambda *args, mask=mask: mask)
            views = []
            model.observers.append(views.append)
            losses.append(model.loss(*self.batch(step)))
        assert losses[0]['loss_x'] == losses[1]['loss_x']
        assert losses[0]['loss_u'] != losses[1]['loss_u']
        assert [tuple(logits.shape) for logits in views[0].logits] == [(4, 5, 12, 12)] * 2
        bias = model.segmentor.decode_head.conv_seg.bias[:, None, None].expand(5, 12, 12)
        assert torch.allclose(views[0].logits[1][3], bias)
        passes = model.segmentor.backbone[1].num_batches_tracked
        assert passes == (1 if shared_pass else 2)

    def test_heads_of_several_outputs_are_refused(self, tiny_segmentor):
        cfg = tiny_segmentor()
        cfg['decode_head'] = dict(type='EncHead', in_channels=[16] * 3, in_index=[1, 2, 3], channels=8, num_codes=4,
                                  num_classes=3)
        with pytest.raises(ValueError, match='UniMatchV2Segmentor perturbs features, which needs a decode head .*'
                                             'EncHead has a loss or a prediction of its own'):
            UniMatchV2Segmentor(cfg)

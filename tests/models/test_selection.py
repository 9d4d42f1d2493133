"""Selection and alignment of pseudo-labels against published values, and what they guarantee."""
from pathlib import Path

import numpy as np
import pytest
import torch

from s5_mm.models import FixMatchSegmentor, PseudoLabel, UniMatchV2Segmentor
from s5_mm.registry import MODELS

GOLDEN = Path(__file__).parents[1] / 'golden'


@pytest.fixture(scope='module')
def golden():
    arrays = np.load(GOLDEN / 'thresholds.npz')
    return {name: arrays[name] for name in arrays.files}


def as_images(pixels):
    """Logits (400, 6) as one image (1, 6, 20, 20)."""
    return torch.tensor(pixels).T.reshape(1, -1, 20, 20)


def steps(golden):
    """Probabilities and pseudo-label of the unlabeled image, probabilities and truth of the labeled one."""
    for unlabeled, labeled, truth in zip(golden['unlabeled_logits'], golden['labeled_logits'], golden['labels'],
                                         strict=True):
        logits = as_images(unlabeled)
        target = PseudoLabel.from_logits(logits, torch.ones(1, 20, 20, dtype=torch.bool))
        yield logits, target, as_images(labeled).softmax(1), torch.tensor(truth).long().reshape(1, 20, 20)


def build(kind, **options):
    return MODELS.build(dict(type=f's5_mm.{kind}', num_classes=6, **options))


def run(rule, golden):
    """Weights of every step, as published code computes them: first the update, then the mask."""
    for logits, target, scores, truth in steps(golden):
        rule.update_labeled(truth, scores)
        rule.update(logits.softmax(1), target)
        yield rule(target).flatten(), target


class TestPublishedSelections:

    def test_freematch(self, golden):
        rule = build('FreeMatchThreshold', floor=0.0, momentum=0.9)
        for i, (weight, _) in enumerate(run(rule, golden)):
            assert np.allclose(rule.thresholds(), golden['freematch_tau'][i], atol=1e-6)
            assert np.array_equal(weight.bool(), golden['freematch_mask'][i])

    @pytest.mark.parametrize(('per_class', 'name'), [(False, 'softmatch_global_weight'),
                                                     (True, 'softmatch_class_weight')])
    def test_softmatch(self, golden, per_class, name):
        rule = build('SoftMatch', per_class=per_class, momentum=0.9)
        for i, (weight, _) in enumerate(run(rule, golden)):
            assert np.allclose(weight, golden[name][i], atol=1e-6)
        if per_class:
            assert np.allclose(rule.mean, golden['softmatch_class_mean'], atol=1e-6)
            assert np.allclose(rule.variance, golden['softmatch_class_variance'], atol=1e-6)

    def test_corrmatch(self, golden):
        rule = build('CorrMatchThreshold', momentum=0.9)
        found = [rule.thresholds()[0].item() for _ in run(rule, golden)]
        assert np.allclose(found, golden['corrmatch'], atol=1e-6)

    def test_daw(self, golden):
        rule = build('DAWThreshold', momentum=0.9, floor=0)
        for i, _ in enumerate(run(rule, golden)):
            assert np.allclose(rule.mean, [golden['daw_neg_mean'][i], golden['daw_pos_mean'][i]], atol=1e-6)
            assert np.allclose(rule.variance.sqrt(), [golden['daw_neg_std'][i], golden['daw_pos_std'][i]], atol=1e-6)
            # The two densities are all but equal at first; published in fp32, their crossing has three digits there.
            assert rule.level.item() == pytest.approx(golden['daw_thresh'][i], abs=1e-3 if i < 5 else 2e-6)

    def test_class_mean_and_quantile_by_hand(self):
        target = PseudoLabel(torch.tensor([[[0, 0, 0, 1, 2]]]), torch.tensor([[[0.5, 0.7, 0.8, 0.99, 0.1]]]),
                             torch.tensor([[[True, True, True, True, False]]]))
        mean, quantile = (MODELS.build(dict(type=f's5_mm.{kind}', num_classes=4, momentum=0.0, floor=0.55))
                          for kind in ('ClassMean', 'ClassQuantile'))
        mean.update(None, target)
        quantile.update(None, target)
        assert mean.thresholds().tolist() == pytest.approx([2 / 3, 0.95, 0.95, 0.95])
        assert quantile.thresholds().tolist() == pytest.approx([0.7, 0.95, 0.95, 0.95])
        assert mean(target).tolist() == [[[0, 1, 1, 1, 0]]]
        unsure = target._replace(confidence=torch.full((1, 1, 5), 0.4))
        mean.update(None, unsure)
        assert mean.thresholds().tolist() == pytest.approx([0.55, 0.55, 0.95, 0.95])
        assert not mean(unsure).any()

    def test_classes_that_are_not_predicted(self):
        """SoftMatch takes them with mean 0 and variance 1, as published; CorrMatch leaves them out."""
        target = PseudoLabel(torch.tensor([[[0, 0, 1]]]), torch.tensor([[[0.6, 0.8, 0.9]]]),
                             torch.ones(1, 1, 3, dtype=torch.bool))
        soft = build('SoftMatch', per_class=True, momentum=0.0)
        soft.update(None, target)
        assert soft.mean.tolist() == pytest.approx([0.7, 0, 0, 0, 0, 0])
        assert soft.variance.tolist() == pytest.approx([0.02, 1, 1, 1, 1, 1])
        level = build('CorrMatchThreshold', momentum=0.0)
        level.update(None, target)
        assert level.thresholds().tolist() == pytest.approx([0.85] * 6)

    def test_rank_weight_by_hand(self):
        rule = MODELS.build(dict(type='s5_mm.RankWeight', num_classes=3, sharpening=2, warmup=1, memory=2))
        scores = torch.linspace(0, 1, 101)
        scores = torch.stack([scores, 1 - scores, 0 * scores])[None, :, None]  # the first class, at 0, .01 ... 1
        target = PseudoLabel(torch.tensor([[[0, 0, 0, 1]]]), torch.tensor([[[0.0, 0.5, 1.0, 0.9]]]),
                             torch.ones(1, 1, 4, dtype=torch.bool))
        truth = torch.zeros(1, 1, 101, dtype=torch.long)
        rule.update_labeled(truth, scores)
        assert not rule(target).any()
        rule.update_labeled(truth, scores)
        wanted = 2 / (1 + np.exp(-22 * np.array([0, 0.5, 1]))) - 1
        assert rule(target).flatten().tolist() == pytest.approx([*wanted, 0], abs=1e-6)

    def test_confident_share_by_hand(self):
        target = PseudoLabel(torch.zeros(1, 1, 4, dtype=torch.long), torch.tensor([[[0.99, 0.5, 0.97, 0.99]]]),
                             torch.tensor([[[True, True, True, False]]]))
        assert build('ConfidentShare')(target).flatten().tolist() == pytest.approx([2 / 3] * 4)


class TestPublishedAlignments:

    def aligned(self, rule, golden):
        for logits, target, scores, truth in steps(golden):
            rule.update_labeled(truth, scores)
            rule.update(logits.softmax(1), target.valid)
        return rule(logits).softmax(1).flatten(2)[0].T

    def test_uniform_shares(self, golden):
        rule = build('ShareAlignment', shares=[2] * 6, momentum=0.9)
        assert np.allclose(self.aligned(rule, golden), golden['align_uniform'], atol=1e-6)

    def test_running_shares(self, golden, monkeypatch):
        """The published running target is the average of the labeled *probabilities*; ours counts the labels."""
        rule = build('ShareAlignment', momentum=0.9)

        def published(truth, scores):
            rule.wanted.lerp_(scores.mean(dim=(0, 2, 3)).double(), 0.1)
        monkeypatch.setattr(rule, 'update_labeled', published)
        assert np.allclose(self.aligned(rule, golden), golden['align_model'], atol=1e-6)

    def test_daw(self, golden):
        rule = build('ConfidenceAlignment', momentum=0.9)
        assert np.allclose(self.aligned(rule, golden), golden['daw_aligned'], atol=1e-6)
        assert np.allclose(rule.labeled, golden['daw_lb'][-1], atol=1e-6)
        assert np.allclose(rule.unlabeled, golden['daw_ulb'][-1], atol=1e-6)

    def test_shares_of_labels_limit_and_exponent(self):
        rule = MODELS.build(dict(type='s5_mm.ShareAlignment', num_classes=3, exponent=0.5, limit=4))
        rule.update_labeled(torch.tensor([[[0, 0, 0, 255]]]), None)
        rule.update_labeled(torch.tensor([[[0, 0, 0, 1, 1]]]), None)
        assert rule.wanted.tolist() == pytest.approx([0.75, 0.25, 0])
        rule.update(torch.tensor([0.75, 0.01, 0.24]).reshape(1, 3, 1, 1), torch.ones(1, 1, 1))
        assert rule.log_ratios().exp().tolist() == pytest.approx([1, 4, 0.25], rel=1e-4)


class TestInTheModel:

    def model(self, tiny_segmentor, kind=FixMatchSegmentor, **options):
        torch.manual_seed(0)
        model = kind(tiny_segmentor(), consistency=dict(tau=0.9), **options).train()
        torch.nn.init.normal_(model.segmentor.decode_head.conv_seg.weight, std=0.02)
        return model

    @pytest.fixture
    def batch(self, make_sample):
        generator = np.random.RandomState(0)
        images = torch.tensor(generator.rand(4, 3, 32, 32), dtype=torch.float32)
        masks = [generator.randint(0, 3, (32, 32)) * (i < 2) for i in range(4)]
        return images, [make_sample(name, mask) for name, mask in
                        zip(['labeled'] * 2 + ['unlabeled'] * 2, masks, strict=True)]

    RULES = ('ClassMean', 'ClassQuantile', 'CorrMatchThreshold', 'DAWThreshold', 'SoftMatch', 'RankWeight',
             'ConfidentShare')

    @pytest.mark.parametrize('kind', [FixMatchSegmentor, UniMatchV2Segmentor])
    @pytest.mark.parametrize('rule', RULES)
    def test_every_rule_trains(self, tiny_segmentor, batch, kind, rule):
        options = dict(warmup=0) if rule == 'RankWeight' else {}
        model = self.model(tiny_segmentor, kind, selection=dict(type=f's5_mm.{rule}', **options),
                           alignment=dict(type='s5_mm.ShareAlignment'))
        seen = []
        model.observers.append(seen.append)
        losses = model.loss(*batch)
        assert torch.isfinite(losses['loss_u'])
        views = seen[0].views
        assert losses['mask_ratio'].item() == pytest.approx(
            np.mean([view.target.weight.mean().item() for view in views]), rel=1e-4)
        assert 0 <= losses['mask_ratio'] <= 1
        assert any('selection.' in name or 'alignment.' in name for name in model.state_dict())

    def test_weights_are_mixed_with_the_images(self, tiny_segmentor, batch, monkeypatch):
        model = self.model(tiny_segmentor, selection=dict(type='s5_mm.SoftMatch'))
        monkeypatch.setattr(model.cutmix, 'boxes', lambda n, h, w, device: torch.ones(n, h, w, dtype=torch.bool))
        seen = []
        model.observers.append(seen.append)
        model.loss(*batch)
        assert torch.equal(seen[0].views[0].target.weight, seen[0].target.weight.roll(1, 0))

    def test_alignment_shows_in_the_pseudo_label(self, tiny_segmentor, batch):
        """With almost all of the wanted share at one class, its factor is ten times that of the others."""
        model = self.model(tiny_segmentor, alignment=dict(type='s5_mm.ShareAlignment', shares=[1e-6, 1, 1e-6]))
        plain = self.model(tiny_segmentor)
        split = model.split(*batch)
        aligned, label = model.pseudo_label(split), plain.pseudo_label(split)
        assert (aligned.label == 1).float().mean() > (label.label == 1).float().mean()
        ratios = model.alignment.log_ratios().exp().float()
        scores = plain.evaluated_logits(split.weak).softmax(1) * ratios[:, None, None]
        assert torch.allclose(aligned.confidence, (scores / scores.sum(1, keepdim=True)).amax(1), atol=1e-5)

    def test_judging_learns_nothing(self, tiny_segmentor, batch):
        model = self.model(tiny_segmentor, selection=dict(type='s5_mm.ClassMean'),
                           alignment=dict(type='s5_mm.ShareAlignment'))
        learned = model.pseudo_label(model.split(*batch))
        before = {name: value.clone() for name, value in model.state_dict().items()}
        judged = model.judge(batch[0][2:], learned.valid)
        assert torch.equal(judged.confidence, learned.confidence)
        assert torch.equal(judged.weight, learned.weight)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def test_pixels_are_weighed_by_thresholds_that_know_them(self, tiny_segmentor, batch):
        """As published: with a momentum of 0 the threshold of a class is the mean of this step's pixels."""
        model = self.model(tiny_segmentor, selection=dict(type='s5_mm.ClassMean', momentum=0.0, floor=0.0, cap=1.0))
        target = model.pseudo_label(model.split(*batch))
        assert 0.2 < target.weight.mean() < 0.8
        for label in target.label.unique():
            confidence = target.confidence[target.label == label]
            assert torch.equal(target.weight[target.label == label].bool(), confidence >= confidence.double().mean())

    def test_fixmatch_itself_has_no_new_state(self, tiny_segmentor):
        assert all(name.startswith('segmentor.') for name in self.model(tiny_segmentor).state_dict())


class TestErrors:

    @pytest.mark.parametrize(('kind', 'options', 'message'), [
        ('ClassMean', dict(floor=0.96), 'ClassMean: floor is 0.96 and cap 0.95; they must be in order'),
        ('ClassQuantile', dict(quantile=2), 'quantile is 2, it must lie in'),
        ('SoftMatch', dict(momentum=1), 'SoftMatch: momentum is 1, it must lie in'),
        ('RankWeight', dict(memory=0), 'memory 0 and warmup 50; the first two must be at least 1'),
        ('ConfidentShare', dict(tau=-1), 'tau is -1'),
        ('ShareAlignment', dict(shares=[1, 1]), r'shares are \[1, 1\]; give 6 numbers of at least 0'),
        ('ShareAlignment', dict(exponent=0), 'exponent is 0, it must be above 0'),
        ('ShareAlignment', dict(limit=1), 'limit is 1, it must be above 1'),
    ])
    def test_options(self, kind, options, message):
        with pytest.raises(ValueError, match=message):
            build(kind, **options)

    def test_freematch_needs_a_floor(self):
        with pytest.raises(TypeError, match='floor'):
            build('FreeMatchThreshold')

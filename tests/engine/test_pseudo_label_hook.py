"""Curves and warnings of pseudo-labels: numbers by hand, files, scalars, resumption."""
import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from s5_mm.engine import PseudoLabelHook
from s5_mm.evaluation.pseudo_labels import PseudoLabelCounts, objects_as_background, quality
from s5_mm.models import FixMatchSegmentor, PseudoLabel, SemiBatch, SemiStep

CLASSES = ['land', 'ship', 'plane']
PALETTE = [[0, 0, 0], [255, 0, 0], [255, 255, 255]]
# Eight pixels: six that count of those that are valid and have a truth.
TARGET = PseudoLabel(
    label=torch.tensor([[[0, 0, 0, 1], [1, 1, 0, 2]]]),
    confidence=torch.tensor([[[0.9, 0.9, 0.5, 0.9], [0.9, 0.4, 0.9, 0.9]]]),
    valid=torch.tensor([[[True] * 4, [True, True, True, False]]]))
TRUTH = torch.tensor([[[0, 1, 0, 1], [0, 1, 255, 2]]])


def test_numbers_by_hand():
    counts = PseudoLabelCounts(3, background=0)
    weight = (TARGET.confidence >= 0.8).float()
    counts.add(TARGET.label, TARGET.confidence, TARGET.valid, weight, TRUTH)
    sums = counts.reduce()
    numbers = quality(sums, True)
    # Valid with truth: labels 0 0 0 1 1 1, truths 0 1 0 1 0 1, kept 1 1 0 1 1 0.
    assert numbers['coverage'].tolist() == pytest.approx([2 / 6, 2 / 6, 0])
    assert numbers['precision'][:2].tolist() == pytest.approx([1 / 2, 1 / 2])
    assert numbers['recall'][:2].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert numbers['shift'][:2].tolist() == pytest.approx([1, 1])
    assert numbers['confidence'][:2].tolist() == pytest.approx([2.3 / 3, 2.2 / 3])
    assert np.isnan([numbers[key][2] for key in ('precision', 'recall', 'shift', 'confidence')]).all()
    assert objects_as_background(sums, 0) == pytest.approx(1 / 3)


@pytest.fixture
def training(tiny_segmentor, tmp_path):
    """A runner around a model, and a function that trains for an iteration of the given target."""
    def make(iteration=0, **options):
        model = FixMatchSegmentor(tiny_segmentor(), consistency=dict(tau=0.8), **options)
        scalars, logged, warned = {}, [], []
        runner = SimpleNamespace(
            model=model, iter=iteration, work_dir=str(tmp_path), seed=0,
            logger=SimpleNamespace(info=logged.append, warning=warned.append),
            visualizer=SimpleNamespace(dataset_meta=dict(classes=CLASSES, palette=PALETTE),
                                       add_scalars=lambda values, step: scalars.update({step: values})))

        def iterate(hook, target=TARGET, times=1):
            sample = SimpleNamespace(gt_sem_seg=SimpleNamespace(data=torch.tensor([[[0, 1, 1, 2, 255]]])))
            for _ in range(times):
                for observe in model.observers:
                    observe(SemiStep(SemiBatch(None, [sample], None, []), target, [], []))
                hook.after_train_iter(runner, runner.iter)
                runner.iter += 1
        return SimpleNamespace(runner=runner, iterate=iterate, scalars=scalars, logged=logged, warned=warned)
    return make


def read(path):
    return list(csv.DictReader((path / 'pseudo_labels.csv').read_text().splitlines()))


def test_curves_of_the_pool(training, tmp_path):
    run = training()
    hook = PseudoLabelHook(interval=2)
    hook.before_train(run.runner)
    run.iterate(hook, times=4)
    hook.after_train(run.runner)
    lines = read(tmp_path)
    assert [(line['iteration'], line['class']) for line in lines] == [(i, c) for i in '24' for c in CLASSES]
    # Seven valid pixels, four of class 0 and three of class 1; the labels are 1/4, 2/4, 1/4.
    assert [float(line['coverage']) for line in lines[:3]] == pytest.approx([3 / 7, 2 / 7, 0], rel=1e-5)
    assert [float(line['shift']) for line in lines[:3]] == pytest.approx([16 / 7, 6 / 7, 0], rel=1e-5)
    assert lines[0]['precision'] == lines[2]['confidence'] == ''
    assert sorted(run.scalars) == [2, 4]
    assert run.scalars[2]['pseudo/coverage/ship'] == pytest.approx(2 / 7)
    assert 'pseudo/confidence/plane' not in run.scalars[2]
    assert 'weak views of the pool' in run.logged[0]
    assert Image.open(tmp_path / 'pseudo_labels.png').size[0] > 500
    assert not run.runner.model.observers

    # A run resumed after iteration 2 measures the fourth again.
    again = training(iteration=2)
    hook = PseudoLabelHook(interval=2)
    hook.before_train(again.runner)
    again.iterate(hook, times=2)
    assert read(tmp_path) == lines


def test_held_images(training, make_sample, tmp_path, monkeypatch):
    """The evaluated network is seen as it labels, with images that are padded to the batch's size."""
    run = training(selection=dict(type='s5_mm.ClassMean'))
    truth = torch.zeros(6, 5, dtype=torch.long)
    truth[0] = 1
    batch = dict(inputs=torch.zeros(1, 3, 8, 8), data_samples=[make_sample(None, truth)])
    run.runner.build_dataloader = lambda loader, seed: [batch] * 2
    run.runner.model.data_preprocessor.forward = lambda data, training: data
    judged = []

    def judge(images, valid):
        judged.append(images.shape)
        label = torch.zeros(1, 8, 8, dtype=torch.long)
        label[:, :, 3:] = 1  # two of the five columns that are image
        return PseudoLabel(label, torch.full((1, 8, 8), 0.9), valid, torch.ones(1, 8, 8))
    monkeypatch.setattr(run.runner.model, 'judge', judge)
    hook = PseudoLabelHook(interval=1, held=dict(batch_size=1), background=0, min_precision=0.3)
    hook.before_train(run.runner)
    run.iterate(hook, TARGET._replace(weight=torch.ones(1, 2, 4)))
    assert judged == [(1, 3, 8, 8)] * 2
    land, ship, plane = read(tmp_path)
    assert [float(ship[key]) for key in ('coverage', 'precision', 'recall', 'shift')] == pytest.approx(
        [0.4, 2 / 12, 2 / 5, 0.4 / (1 / 6)], rel=1e-4)
    assert [float(line['threshold']) for line in (land, ship, plane)] == pytest.approx([0.95] * 3)
    assert run.scalars[1]['pseudo/objects_as_background'] == pytest.approx(3 / 5)
    assert any('ship have pseudo-labels that are right in less than 30%; raise consistency.tau' in text
               for text in run.warned)


def test_an_idle_loss_is_reported_once(training):
    run = training()
    hook = PseudoLabelHook(interval=1000, patience=3)
    hook.before_train(run.runner)
    unsure = TARGET._replace(confidence=torch.full((1, 2, 4), 0.5))
    run.iterate(hook, unsure, times=2)
    assert not run.warned
    run.iterate(hook, unsure, times=7)
    [warning] = run.warned
    assert '0.00% of the pixels of the pool counted in the last 3 iterations; lower consistency.tau' in warning
    run.iterate(hook, TARGET, times=3)
    run.iterate(hook, unsure, times=3)
    assert len(run.warned) == 2


def test_classes_without_pseudo_labels_and_thresholds_at_the_floor(training):
    run = training(selection=dict(type='s5_mm.ClassMean', floor=0.5))
    run.runner.model.selection.average.copy_(torch.tensor([0.9, 0.3, 0.6]))
    hook = PseudoLabelHook(interval=2)
    hook.before_train(run.runner)
    target = TARGET._replace(weight=torch.ones(1, 2, 4))
    run.iterate(hook, target, times=4)
    assert len(run.warned) == 2
    assert run.warned[0].startswith('pseudo-labels: plane have labels but no pseudo-label that counts')
    assert run.warned[1].startswith('pseudo-labels: ship are at the lowest threshold, 0.5')


def test_errors(tiny_segmentor):
    for options, message in ((dict(interval=0), 'interval is 0 and patience 200'), (dict(patience=0), 'patience 0'),
                             (dict(min_coverage=2), 'min_coverage is 2')):
        with pytest.raises(ValueError, match=message):
            PseudoLabelHook(**options)
    with pytest.raises(TypeError, match='of a SemiBaseSegmentor, the model is a Linear; remove the hook'):
        PseudoLabelHook().before_train(SimpleNamespace(model=nn.Linear(1, 1)))
    with pytest.raises(ValueError, match='background is 3, the model has the classes 0 to 2'):
        PseudoLabelHook(background=3).before_train(SimpleNamespace(model=FixMatchSegmentor(tiny_segmentor())))

"""Length, schedule and heads of a training, as they are compared before its first iteration."""
import pytest
from torch import nn
from toy_training import train_toy

from s5_mm.engine.hooks.training_checks import check_channels
from s5_mm.registry import MODELS


@pytest.mark.parametrize(('schedule', 'texts'), [
    (dict(type='CosineAnnealingLR', by_epoch=False), []),
    (dict(type='CosineAnnealingLR', by_epoch=False, end=8),
     ['CosineAnnealingLR ends at iteration 8, but training at 6, so the learning rate never gets there. Leave out']),
    (dict(type='CosineAnnealingLR', by_epoch=False, begin=1, T_max=3),
     ['CosineAnnealingLR ends at iteration 4, but training at 6; the rest has the last learning rate.']),
    (dict(type='PolyLR', by_epoch=False, end=4), ['PolyLR ends at iteration 4, but training at 6; the rest']),
    (dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=50), ['LinearLR ends at iteration 50']),
    (dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=3), []),
    (dict(type='MultiStepLR', by_epoch=False, milestones=[4, 9, 7]),
     ['MultiStepLR changes the learning rate at iteration 7, 9, but training ends at 6; adapt milestones']),
    (dict(type='ConstantLR', by_epoch=False), []),
])
def test_schedule_and_length(tmp_path, capsys, schedule, texts):
    runner = train_toy(tmp_path, param_scheduler=[schedule])
    said = [line for line in ''.join(capsys.readouterr()).splitlines()
            if ' ends at ' in line or 'changes the learning rate' in line]
    assert runner.iter == 6
    assert len(said) == len(texts)
    for line, text in zip(said, texts, strict=True):
        assert text in line


def test_endless_epochs_are_refused(tmp_path):
    with pytest.raises(ValueError, match='EpochBasedTrainLoop, but InfiniteSampler draws without end.*'
                                         "s5_mm.LongestEpochTrainLoop.*IterBasedTrainLoop.*DefaultSampler"):
        train_toy(tmp_path, train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2))


@pytest.mark.parametrize(('loss', 'refused'), [(dict(use_sigmoid=False), True), (dict(use_sigmoid=True), False)])
def test_softmax_over_one_channel(tiny_segmentor, loss, refused):
    cfg = tiny_segmentor()
    cfg['decode_head'].update(num_classes=2, out_channels=1, threshold=0.3,
                              loss_decode=dict(type='CrossEntropyLoss', **loss))
    model = nn.ModuleDict(dict(model=MODELS.build(cfg)))
    runner = type('Runner', (), dict(model=model))
    if refused:
        with pytest.raises(ValueError, match='model.decode_head has one output channel and a loss of softmax'):
            check_channels(runner)
    else:
        check_channels(runner)

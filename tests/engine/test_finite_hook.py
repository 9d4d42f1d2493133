"""A training whose numbers are no longer finite stops, and its weights get into no file."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from toy_training import state_of, train_toy

from s5_mm.engine import FiniteHook
from s5_mm.engine.hooks.finite_hook import is_finite

NAN, INF = float('nan'), float('inf')


def loader(odd, value):
    return dict(batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=False),
                dataset=dict(type='s5_mm.ToyDataset', odd=odd, value=value))


@pytest.mark.parametrize('value', [NAN, INF])
def test_loss(tmp_path, value):
    """The fifth sample is in the third batch, of which the images are named; the files are those before."""
    with pytest.raises(ValueError, match=r'Losses of iteration 3 are not finite: loss \w+. Its batch:\n'
                                         r'toy: 4.png, 5.png\nTraining stops; the last checkpoint is \S*iter_2.pth. '
                                         'Look at these images .*clip_grad'):
        train_toy(tmp_path, train_dataloader=loader(4, value))
    assert [*state_of(tmp_path)] == ['best_score_iter_2.pth', 'iter_2.pth', 'last_checkpoint']


def test_patience():
    """Only iterations in a row count; a loss scaler leaves out the steps of some."""
    def run(losses, wrapper=None, **options):
        hook, told = FiniteHook(**options), []
        runner = SimpleNamespace(iter=0, logger=SimpleNamespace(warning=told.append), optim_wrapper=wrapper,
                                 work_dir='/no/such')
        for step, loss in enumerate(losses):
            runner.iter = step
            hook.after_train_iter(runner, step, None, dict(loss=torch.tensor(loss), acc=torch.tensor(NAN)))
        return told
    assert len(run([NAN, 1.0, INF, NAN, 1.0], patience=3)) == 3
    with pytest.raises(ValueError, match='iteration 3 .* Its batch: unknown\n.*there is no checkpoint yet'):
        run([NAN, NAN, NAN], patience=3)
    assert len(run([NAN] * 19, SimpleNamespace(loss_scaler=None))) == 19
    with pytest.raises(ValueError, match='iteration 20 '):
        run([NAN] * 20, SimpleNamespace(loss_scaler=None))
    with pytest.raises(ValueError, match='FiniteHook: patience is 0; it must be at least 1'):
        FiniteHook(patience=0)


class Spoil(Hook):
    """Make the weights infinite after an iteration whose loss was fine."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 3:
            runner.model.layer.weight.data.fill_(INF)


@pytest.mark.parametrize('interval', [2, 3])
def test_weights(tmp_path, interval):
    """At the checkpoint of iteration 4; or, without one there, by the loss of iteration 5."""
    reason = r'The tensor layer.weight is not finite, which no checkpoint may hold. .*iter_2.pth' if interval == 2 \
        else 'Losses of iteration 5 are not finite'
    with pytest.raises(ValueError, match=reason):
        train_toy(tmp_path, interval=interval, custom_hooks=[Spoil()])
    assert [*state_of(tmp_path)] == [f'best_score_iter_{interval}.pth', f'iter_{interval}.pth', 'last_checkpoint']


def test_best_checkpoint(tmp_path):
    """At the validation after iteration 4, where no regular checkpoint is due."""
    with pytest.raises(ValueError, match='layer.weight is not finite'):
        train_toy(tmp_path, custom_hooks=[Spoil()], hooks=dict(checkpoint=dict(
            type='s5_mm.SafeCheckpointHook', by_epoch=False, interval=6, save_best='score', rule='less')))
    assert [*state_of(tmp_path)] == ['best_score_iter_2.pth']


def test_initial_weights(tmp_path):
    class Spoiled(Hook):
        priority = 'VERY_HIGH'

        def before_train(self, runner):
            runner.model.layer.weight.data.fill_(NAN)
    with pytest.raises(ValueError, match='layer.weight is not finite before training starts; load other weights'):
        train_toy(tmp_path, custom_hooks=[Spoiled()])


def test_is_finite():
    big = torch.full((3, ), 3e38)
    assert is_finite(big)  # though its sum is not
    assert is_finite(torch.tensor(2**60))
    assert not is_finite(torch.tensor([1.0, NAN]))
    assert not is_finite(torch.tensor([INF, -INF]))
    assert not is_finite(torch.tensor([1.0, -INF], dtype=torch.bfloat16))

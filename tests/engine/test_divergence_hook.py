"""The hook that tells when training diverges."""
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from s5_mm.engine import DivergenceHook
from s5_mm.registry import HOOKS


@pytest.fixture
def warnings_of(request):
    """Warnings of a run with these losses and gradient norms, with windows of two iterations."""
    def run(losses, norms=(), **options):
        hook = HOOKS.build({'type': 's5_mm.DivergenceHook', 'interval': 2, **options})
        hub, told = MessageHub(request.node.name), []
        runner = SimpleNamespace(iter=0, message_hub=hub, logger=SimpleNamespace(warning=told.append))
        for i, loss in enumerate(losses):
            runner.iter = i
            hub.update_scalar('train/loss', float(loss))
            if norms:
                hub.update_scalar('train/grad_norm', float(norms[i]))
            hook.after_train_iter(runner, i)
        return told
    return run


def test_falling_losses_and_losses_that_join_later_are_fine(warnings_of):
    assert warnings_of([4, 4, 1, 1, 1, 1, 7, 7], [12, 12, 30, 8, 9, 9, 100, 120]) == []


def test_growing_loss(warnings_of):
    """A median of 9 is above twice the first one, 4; of the two bad windows the first is told."""
    told = warnings_of([4, 4, 1, 1, 9, 9, 9, 9])
    assert len(told) == 1
    assert 'the loss is 9 (median of iterations 5 to 6), it was 1 at its lowest' in told[0]


def test_growing_gradient_norm(warnings_of):
    """The lowest one is 10, and only 250 is above 20 times of it; it is told again after it was good."""
    told = warnings_of([1] * 8, [20, 20, 10, 10, 190, 190, 250, 250])
    assert ['the gradient norm is 250 (median of iterations 7 to 8), it was 10' in one for one in told] == [True]
    assert len(warnings_of([1] * 8, [10, 10, 250, 250, 10, 10, 250, 250])) == 2


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_values_that_are_not_finite(warnings_of, value):
    assert 'the loss is inf (median of iterations 3 to 4)' in warnings_of([1, 1, value, value])[0]
    assert 'the loss is inf (median of iterations 1 to 2), it was inf' in warnings_of([value, value])[0]
    # Loss scaling of half precision gives single steps without a norm.
    assert warnings_of([1] * 6, [1, 1, value, 1, 1, 1], interval=3) == []


def test_windows_are_counted_from_the_last_iteration(warnings_of):
    """Where a resumed log begins in the middle of a window."""
    assert len(warnings_of([100, 1, 1, 3, 3], interval=1, loss_factor=200.0)) == 0


@pytest.mark.parametrize('options', [dict(interval=0), dict(loss_factor=1.0), dict(grad_norm_factor=0.5)])
def test_wrong_options(options):
    with pytest.raises(ValueError, match=f'DivergenceHook: .*{next(iter(options))}'):
        DivergenceHook(**options)

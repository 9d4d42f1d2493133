"""The ramp of a loss weight."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from s5_mm.engine import LossRampHook
from s5_mm.models import FixMatchSegmentor


@pytest.mark.parametrize(('shape', 'wanted'), [('linear', [0, 0, 0.25, 0.5, 1, 1]),
                                               ('exponential', [*np.exp([-5, -5, -5 * 0.75**2, -5 / 4]), 1, 1])])
def test_weights_of_iterations(tiny_segmentor, shape, wanted):
    model = FixMatchSegmentor(tiny_segmentor(), unlabeled_weight=0.4)
    runner = SimpleNamespace(model=model, iter=0)
    hook = LossRampHook(begin=10, end=50, shape=shape)
    hook.before_train(runner)
    found = []
    for runner.iter in (0, 10, 20, 30, 50, 90):
        hook.before_train_iter(runner, 0)
        found.append(model.parse_losses(dict(loss_x=torch.tensor(0.0), loss_u=torch.tensor(1.0)))[0].item())
    assert found == pytest.approx([0.2 * share for share in wanted])


def test_errors():
    with pytest.raises(ValueError, match='begin is 3 and end 3; they must be in order'):
        LossRampHook(begin=3, end=3)
    with pytest.raises(ValueError, match="shape is 'cosine'; it must be one of linear, exponential"):
        LossRampHook(end=3, shape='cosine')
    with pytest.raises(TypeError, match='a SemiBaseSegmentor, the model is a Linear; remove the hook'):
        LossRampHook(end=3).before_train(SimpleNamespace(model=nn.Linear(1, 1)))

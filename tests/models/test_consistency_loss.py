"""The unlabeled loss against published values and by hand."""
import math

import pytest
import torch

from s5_mm.models import ConsistencyLoss, CutMix, PseudoLabel


@pytest.fixture
def published_target(golden):
    """Pseudo-label of the published CutMix step."""
    arrays = {name: torch.tensor(value) for name, value in golden.arrays.items() if name.startswith('loss_')}
    own = PseudoLabel.from_logits(arrays['loss_pred_w'], arrays['loss_ignore'] == 0)
    partner = PseudoLabel.from_logits(arrays['loss_pred_w_mix'], arrays['loss_ignore_mix'] == 0)
    box = arrays['loss_box'] == 1
    return own.map(lambda x, y: CutMix.mix(x, y, box), partner)


@pytest.mark.parametrize('tau', [0.5, 0.95])
def test_published_values(golden, published_target, tau):
    loss, ratio = ConsistencyLoss(tau)(torch.tensor(golden.arrays['loss_pred_s']), published_target)
    assert abs(loss.item() - golden.arrays[f'loss_u_{tau}']) < 1e-6
    assert abs(ratio.item() - golden.arrays[f'mask_ratio_{tau}']) < 1e-6


def by_hand():
    """Four pixels: confident, at the threshold, below it, confident but padded."""
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 0, 0, 0] = math.log(3)  # the right class has probability 3/4
    target = PseudoLabel(
        label=torch.tensor([[[0, 1, 0, 0]]]),
        confidence=torch.tensor([[[1.0, 0.75, 0.74, 1.0]]]),
        valid=torch.tensor([[[True, True, True, False]]]))
    return logits, target


def test_sum_over_confident_divided_by_valid():
    logits, target = by_hand()
    consistency = ConsistencyLoss(0.75)
    loss, ratio = consistency(logits, target)
    assert consistency.counted(target).tolist() == [[[True, True, False, False]]]
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 3)
    assert ratio.item() == pytest.approx(2 / 3)


def test_class_weight_leaves_the_divisor():
    logits, target = by_hand()
    loss, _ = ConsistencyLoss(0.75, class_weight=[1.0, 10.0])(logits, target)
    assert loss.item() == pytest.approx((math.log(4 / 3) + 10 * math.log(2)) / 3)


def test_class_weight_is_no_part_of_checkpoints():
    assert not ConsistencyLoss(class_weight=[1.0, 2.0]).state_dict()


def test_nothing_valid_is_zero_and_has_a_gradient():
    logits, target = by_hand()
    logits.requires_grad_()
    loss, ratio = ConsistencyLoss(0.5)(logits, target._replace(valid=torch.zeros(1, 1, 4, dtype=torch.bool)))
    loss.backward()
    assert (loss.item(), ratio.item()) == (0, 0)
    assert logits.grad.abs().max() == 0


def test_half_precision_logits_are_compared_in_fp32():
    logits, target = by_hand()
    loss, _ = ConsistencyLoss(0.75)(logits.bfloat16(), target)
    assert loss.dtype == torch.float32


@pytest.mark.parametrize('tau', [1.01, -0.1])
def test_tau_out_of_range(tau):
    with pytest.raises(ValueError, match=rf'tau is {tau}, it must lie in \[0, 1\]'):
        ConsistencyLoss(tau)


def test_pseudo_label_of_logits():
    logits = torch.tensor([[1.0, 0.0], [1.0, math.log(4)], [0.0, 0.0]]).reshape(1, 3, 1, 2).bfloat16()
    target = PseudoLabel.from_logits(logits, torch.ones(1, 1, 2, dtype=torch.bool))
    assert target.label[0, 0, 1] == 1
    assert target.label.dtype == torch.int64
    assert target.confidence.dtype == torch.float32
    assert target.confidence[0, 0, 1].item() == pytest.approx(4 / 6, abs=2e-3)
    assert target.map(lambda x: x[..., :1]).valid.shape == (1, 1, 1)

"""Mean pixel entropy (Eq. 1 of arXiv 2508.12409) against numbers worked out by hand."""
import math

import pytest
import torch

from s5_mm.curation import largest_entropy, mean_entropy


def logits_of(*pixels):
    """(1, K, 1, W) from the class probabilities of W pixels."""
    return torch.tensor(pixels, dtype=torch.float64).log().T[None, :, None, :]


def test_two_pixels_by_hand():
    # 1/2, 1/4, 1/4: log 2 / 2 + 2 * log 4 / 4 = 1.5 log 2. 1/8, 3/4, 1/8: 0.75 log 2 + 0.75 log(4/3).
    expected = (1.5 * math.log(2) + 0.75 * math.log(2) + 0.75 * math.log(4 / 3)) / 2
    assert mean_entropy(logits_of([.5, .25, .25], [.125, .75, .125])).item() == pytest.approx(expected, rel=1e-6)


def test_background_is_left_out_without_renormalizing():
    entropy = mean_entropy(logits_of([.5, .25, .25]), background=0)
    assert entropy.item() == pytest.approx(0.5 * math.log(4), rel=1e-6)
    entropy = mean_entropy(logits_of([.5, .25, .25]), background=2)
    assert entropy.item() == pytest.approx(0.5 * math.log(2) + 0.25 * math.log(4), rel=1e-6)


def test_renormalized_the_rest_counts_as_a_distribution_of_its_own():
    entropy = mean_entropy(logits_of([.5, .25, .25]), background=0, renormalize=True)
    assert entropy.item() == pytest.approx(math.log(2), rel=1e-6)
    # Background with certainty: what else it could be is as open as before.
    sure = torch.tensor([60., 1., 1.])[None, :, None, None]
    assert mean_entropy(sure, background=0, renormalize=True).item() == pytest.approx(math.log(2), rel=1e-6)
    assert mean_entropy(sure, background=0).item() == pytest.approx(0, abs=1e-6)


def test_padding_does_not_count():
    logits = logits_of([.5, .25, .25], [.98, .01, .01])
    valid = torch.tensor([[[True, False]]])
    assert mean_entropy(logits, valid=valid).item() == pytest.approx(1.5 * math.log(2), rel=1e-6)


@pytest.mark.parametrize('background', [None, 1])
def test_agrees_with_the_definition_and_leaves_the_logits_alone(background):
    logits = torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(0)) * 8
    before = logits.clone()
    terms = torch.special.entr(logits.double().softmax(dim=1))
    if background is not None:
        terms[:, background] = 0
    torch.testing.assert_close(mean_entropy(logits, background), terms.sum(1).mean((1, 2)).float(), rtol=1e-5,
                               atol=1e-6)
    assert torch.equal(logits, before)


def test_is_computed_in_fp32_from_half_precision_and_under_autocast():
    logits = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = mean_entropy(logits.float())
    with torch.autocast('cpu', torch.bfloat16):
        entropy = mean_entropy(logits)
    assert entropy.dtype == torch.float32
    assert torch.equal(entropy, exact)


def test_extreme_logits_stay_finite_and_not_negative():
    logits = torch.tensor([[300., -300., 0.], [1e4, 1e4, -1e4]]).T[None, :, None, :]
    assert mean_entropy(logits).item() == pytest.approx(math.log(2) / 2, rel=1e-6)


@pytest.mark.parametrize(('settings', 'expected'), [
    ((16, None, False), math.log(16)), ((16, 0, False), math.log(15)), ((16, 0, True), math.log(15)),
    ((3, 0, False), 2 / math.e), ((3, 0, True), math.log(2)), ((2, 0, False), 1 / math.e)])
def test_largest_entropy(settings, expected):
    assert largest_entropy(*settings) == pytest.approx(expected)


@pytest.mark.parametrize('background', [None, 0])
def test_the_largest_is_reached_and_not_passed(background):
    for classes in (2, 3, 4, 16):
        counted = classes - (background is not None)
        share = 1 / math.e if background is not None and counted < 3 else 1 / counted
        rest = [max(1 - counted * share, 1e-30)] if background is not None else []
        entropy = mean_entropy(logits_of([*rest, *[share] * counted]), background).item()
        assert entropy == pytest.approx(largest_entropy(classes, background), rel=1e-5)


def test_errors_name_the_class():
    with pytest.raises(ValueError, match=r'background is 3; it must be a class of the model, 0\.\.2, or None'):
        mean_entropy(torch.zeros(1, 3, 2, 2), background=3)
    with pytest.raises(ValueError, match='of 2 classes, background 0 left out, 1 remain'):
        mean_entropy(torch.zeros(1, 2, 2, 2), background=0, renormalize=True)

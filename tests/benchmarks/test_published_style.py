"""The baseline of the speed comparison computes what the published modules compute."""
import sys

import pytest
import torch
from running import ROOT

CLASSES = dict(vaihingen=5, potsdam=5, OpenEarthMap=9, loveda=7)


@pytest.fixture
def style(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    import published_style
    yield published_style
    for name in [name for name in sys.modules if name.split('.')[0] == 'published_style']:
        sys.modules.pop(name)


def filled(network, published):
    """The network with every published parameter, in eval mode."""
    network.load_state_dict(published.weights)
    return network.eval()


def arch_of(published):
    return {key: value for key, value in published.arch.items() if key != 'feedforward_channels'} | dict(
        img_size=published.img_size)


def largest_difference(values, expected):
    return (values - torch.tensor(expected)).abs().max()


def test_network_of_s4p(style, golden):
    network = filled(style.FixMatchNetwork(**arch_of(golden)), golden)
    with torch.no_grad():
        maps, logits = network.encoder(golden.images), network(golden.images)
    for level, values in enumerate(maps):
        assert largest_difference(values, golden.arrays[f's4p_feat{level}']) < 1e-4
    assert largest_difference(logits[:, :, ::4, ::4], golden.arrays['s4p_logits']) < 1e-4


def test_network_of_moe_mdf(style, golden_mdf):
    network = style.MultiDatasetNetwork(CLASSES, golden_mdf.part_features, **arch_of(golden_mdf))
    filled(network, golden_mdf)
    for name, expert in network.experts.items():
        with torch.no_grad():
            maps, logits = network.encoder(golden_mdf.images, expert), network(golden_mdf.images, name)
        known = name.lower()
        for level, values in enumerate(maps):
            assert largest_difference(values, golden_mdf.arrays[f'moe_{known}_feat{level}']) < 1e-4
        assert largest_difference(logits[:, :, ::4, ::4], golden_mdf.arrays[f'mdf_{known}_logits']) < 1e-4


@pytest.mark.parametrize('tau', ['0.5', '0.95'])
def test_unlabeled_loss(style, golden, tau):
    values = {name: torch.tensor(value) for name, value in golden.arrays.items() if name.startswith('loss_')}
    logits = torch.cat([values['loss_pred_w'], values['loss_pred_w_mix']])
    network = torch.nn.Identity()
    label, label_mix, confidence, confidence_mix = style.pseudo_label(network, *logits.chunk(2))
    box = values['loss_box'].bool()
    loss = style.unlabeled_loss(
        values['loss_pred_s'], torch.where(box, label_mix, label), torch.where(box, confidence_mix, confidence),
        torch.where(box, values['loss_ignore_mix'], values['loss_ignore']), float(tau))
    assert loss.item() == pytest.approx(golden.arrays[f'loss_u_{tau}'].item(), abs=1e-6)


def test_attention_weights_are_materialized_and_blocks_recomputed(style):
    encoder = style.Encoder(16, 4, 2, (0, 1, 2, 3), img_size=32, drop_path=0.0)
    calls, weights = [], []
    encoder.layers[0].attn.attn.register_forward_hook(lambda module, args, output: weights.append(output[1].shape))
    encoder.layers[0].register_forward_pre_hook(lambda *_: calls.append(1))
    sum(level.sum() for level in encoder(torch.randn(2, 3, 32, 32))).backward()
    assert len(calls) == 2
    assert set(weights) == {(2, 4, 4)}

"""bfloat16 training on the CPU."""
import contextlib

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS as ROOT_OPTIM_WRAPPERS

from s5_mm.registry import OPTIM_WRAPPERS


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return torch.nn.Linear(4, 4)


def build(layer, **options):
    return OPTIM_WRAPPERS.build(dict(
        type='s5_mm.Bf16OptimWrapper', optimizer=torch.optim.SGD(layer.parameters(), lr=0.1), **options))


def test_forward_in_bfloat16_weights_in_fp32(layer):
    wrapper = build(layer)
    before = layer.weight.clone()
    with wrapper.optim_context(layer):
        output = layer(torch.ones(2, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().square().mean())
    assert layer.weight.dtype == torch.float32
    assert not torch.equal(layer.weight, before)


def test_autocast_ends_with_the_context(layer):
    with build(layer).optim_context(layer):
        pass
    assert layer(torch.ones(2, 4)).dtype == torch.float32


def test_accumulation_still_works(layer):
    """Weights move with the second step only."""
    wrapper = build(layer, accumulative_counts=2)
    wrapper.initialize_count_status(layer, 0, 4)
    before, moved = layer.weight.clone(), []
    for _ in range(2):
        with wrapper.optim_context(layer):
            loss = layer(torch.ones(2, 4)).float().square().mean()
        wrapper.update_params(loss)
        moved.append(not torch.equal(layer.weight, before))
    assert moved == [False, True]


def test_configs_find_it():
    assert ROOT_OPTIM_WRAPPERS.get('s5_mm.Bf16OptimWrapper').__name__ == 'Bf16OptimWrapper'


def test_processes_do_not_synchronize_while_accumulating(layer):
    entered = []

    @contextlib.contextmanager
    def no_sync():
        entered.append(True)
        yield
    layer.no_sync = no_sync
    wrapper = build(layer, accumulative_counts=2)
    wrapper.initialize_count_status(layer, 0, 4)
    for _ in range(2):
        with wrapper.optim_context(layer):
            loss = layer(torch.ones(2, 4)).float().square().mean()
        wrapper.update_params(loss)
    assert entered == [True]

"""Adaptive pooling of maps of any size."""
import pytest
import torch
from torch.export import Dim

from s5_mm.models.layers import adaptive_avg_pool2d


class Pool(torch.nn.Module):
    def forward(self, maps):
        return adaptive_avg_pool2d(maps, (6, 3))


@pytest.mark.parametrize('size', [(12, 9), (7, 5), (2, 2), (16, 13), (6, 3)])
def test_an_exported_program_pools_any_size_as_torch_does(size):
    """Sides that divide, that do not, and that are smaller than the result."""
    shapes = dict(maps={2: Dim('rows'), 3: Dim('columns')})
    program = torch.export.export(Pool(), (torch.zeros(1, 2, 11, 10), ), dynamic_shapes=shapes)
    maps = torch.rand(1, 2, *size)
    expected = torch.nn.functional.adaptive_avg_pool2d(maps, (6, 3))
    assert torch.allclose(program.module()(maps), expected, atol=1e-6)
    assert torch.equal(adaptive_avg_pool2d(maps, (6, 3)), expected)

"""bfloat16 training on any device."""
import contextlib
from collections.abc import Iterator

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from s5_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """Forward and loss under bfloat16 autocast; weights, gradients and the optimizer stay in fp32.

    bfloat16 has fp32's range, so no loss scaling is needed and the wrapper runs on a CPU too, where MMEngine's
    ``AmpOptimWrapper`` refuses. Arguments are those of MMEngine's ``OptimWrapper``.
    """

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter gradient accumulation as usual, and autocast."""
        with super().optim_context(model), torch.autocast(get_device().split(':')[0], dtype=torch.bfloat16):
            yield

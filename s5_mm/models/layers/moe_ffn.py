"""Feed-forward network with a shared and a per-dataset expert (MoE-MDF of S5, arXiv 2508.12409).

Shapes: B images, N tokens, C channels, D hidden channels, P channels of an expert.
"""
from collections.abc import Sequence

import torch
from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from s5_mm.routing import Route

from .token_linear import TokenLinear


class MoEFFN(FFN):
    """FFN whose second linear layer is split: C - P channels for all datasets, P channels for each one's own.

    The outputs are concatenated, shared channels first. There is no router: the dataset decides. Parameters:
    ``layers.0.0`` the first linear layer, ``layers.1`` the shared expert, ``experts.NAME`` that of a dataset.

    Args:
        embed_dims: C.
        feedforward_channels: D.
        part_features: P, in [1, C).
        datasets: Names of the datasets.
        drop_path: Probability that a sample skips the FFN.
    """

    def __init__(self, embed_dims: int, feedforward_channels: int, part_features: int, datasets: Sequence[str],
                 drop_path: float = 0.0) -> None:
        super().__init__(embed_dims, feedforward_channels, act_cfg=dict(type='GELU'),
                         dropout_layer=dict(type='DropPath', drop_prob=drop_path))
        self.layers[1] = nn.Linear(feedforward_channels, embed_dims - part_features)
        self.experts = nn.ModuleDict({name: nn.Linear(feedforward_channels, part_features) for name in datasets})
        TokenLinear.replace_in(self)

    def forward(self, x: Tensor, identity: Tensor, route: Route) -> Tensor:
        """Transform tokens; the first layer and the shared expert see the whole batch at once.

        Args:
            x: Tokens (B, N, C), grouped by dataset.
            identity: What the result is added to, (B, N, C).
            route: The groups, in this order.
        """
        hidden = self.layers[0](x)
        hidden, *groups = _WholeAndGroups.apply(hidden, route.sizes)
        own = torch.cat([self.experts[name](group) for name, group in zip(route.names, groups, strict=True)])
        return identity + self.dropout_layer(torch.cat([self.layers[1](hidden), own], dim=-1))


class _WholeAndGroups(Function):
    """``(x, *x.split(sizes))`` whose backward pass adds the groups' gradients to the whole one where it lies.

    Autograd would concatenate them and add the result: two more maps of D channels.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
        ctx.sizes = sizes
        return x.view_as(x), *x.split(sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, whole: Tensor, *groups: Tensor) -> tuple[Tensor, None]:
        # The shared expert has just made this gradient, and nobody else has it.
        for part, group in zip(whole.split(ctx.sizes), groups, strict=True):
            part.add_(group)
        return whole, None

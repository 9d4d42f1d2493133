"""A linear layer some of whose outputs each group of samples computes with weights of its own.

Shapes: B images, N tokens, D input and S shared output channels, P channels of an expert.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable


def expert_linear(x: Tensor, sizes: Sequence[int], shared: nn.Linear, experts: Sequence[nn.Linear]) -> Tensor:
    """``cat([shared(x), cat([expert(group) for each group])], dim=-1)``.

    Autograd would compute the gradient of ``x`` once for the shared layer and once for the experts, and add the two.
    With D four times S + P, these passes over memory cost more than the experts' products; here the experts' part is
    summed into the shared one as it is made.

    Args:
        x: Tokens (B, N, D), grouped.
        sizes: Images of each group.
        shared: D -> S channels.
        experts: D -> P channels, one for each group.

    Returns:
        (B, N, S + P).
    """
    parameters = [tensor for layer in (shared, *experts) for tensor in (layer.weight, layer.bias)]
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, *parameters = (tensor.to(dtype) for tensor in (x, *parameters))
    return _ExpertLinear.apply(x, tuple(sizes), *parameters)


class _ExpertLinear(Function):
    """Parameters: weight and bias of the shared layer, then those of each group's expert."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, sizes: tuple[int, ...], *parameters: Tensor) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        ctx.sizes = sizes
        ctx.save_for_backward(x, *weights)
        own = [F.linear(*group) for group in zip(x.split(sizes), weights[1:], biases[1:], strict=True)]
        return torch.cat([F.linear(x, weights[0], biases[0]), own[0] if len(own) == 1 else torch.cat(own)], dim=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, shared, *experts = ctx.saved_tensors
        sizes = [size * x.shape[1] for size in ctx.sizes]
        tokens, grad = x.flatten(0, 1), grad.flatten(0, 1)
        of_shared, of_experts = grad[:, :len(shared)], grad[:, len(shared):].split(sizes)
        x_grad = None
        if ctx.needs_input_grad[0]:
            x_grad = of_shared @ shared
            for part, of_expert, expert in zip(x_grad.split(sizes), of_experts, experts, strict=True):
                torch.addmm(part, of_expert, expert, out=part)
            x_grad = x_grad.view_as(x)
        layers = zip((of_shared, *of_experts), (tokens, *tokens.split(sizes)), ctx.needs_input_grad[2::2],
                     ctx.needs_input_grad[3::2], strict=True)
        parameters = [found for of_layer, seen, weight, bias in layers
                      for found in (of_layer.T @ seen if weight else None, of_layer.sum(dim=0) if bias else None)]
        return x_grad, None, *parameters

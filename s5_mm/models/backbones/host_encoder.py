"""Backbones of mmseg, mmdet, mmpretrain and timm with the encoder contract."""
import math
import re
from collections.abc import Mapping, Sequence
from typing import Self

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from s5_mm.models.layers import Experts
from s5_mm.registry import MODELS
from s5_mm.routing import Route

from .encoder import MEAN, STD, Encoder, contiguous

# Parameters of one block begin with this, in every host seen: blocks.3., stages.0.blocks.1., layers.2.1.0., layer3.0.
BLOCK = re.compile(r'(?:\w+\.)*?(?:blocks|layers|stages|layer)\d*\.\d+(?:\.(?:blocks\.)?\d+)*\.')
WINDOWS = 'relative_position_bias_table'
SECOND_LINEAR = r'(ffn\.layers\.1|mlp\.fc2|pointwise_conv2)$'


@MODELS.register_module(name='HostEncoder')
def host_encoder(encoder: dict,
                 in_channels: int = 3,
                 divisor: int = 32,
                 mean: Sequence[float] = MEAN,
                 std: Sequence[float] = STD,
                 out_channels: Sequence[int] | None = None,
                 second_linear: str = SECOND_LINEAR,
                 experts: dict | None = None,
                 init_cfg: dict | None = None) -> Encoder:
    """Build a host's backbone that answers as an :class:`Encoder`; its parameters keep their names.

    Args:
        encoder: The host's config, e.g. ``dict(type='mmseg.SwinTransformer', ...)``.
        in_channels: Number of bands; the host's own option must say the same.
        divisor: Sides of images must be multiples of it, in pixels.
        mean: Of each band, for normalization.
        std: Likewise.
        out_channels: Channels of each map; ``None``: found out by a forward pass of a small image.
        second_linear: Pattern of the names of the FFNs' second linear layers, which may have experts.
        experts: See :class:`Encoder`.
        init_cfg: MMEngine's initialization, unless the host's config has one.

    Raises:
        ValueError: The host's class is no MMEngine module, or experts are wanted and no layer matches the pattern.
    """
    options = dict(encoder)
    kind = options.pop('type')
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    if kind is None or not issubclass(kind, BaseModule):
        raise ValueError(f"HostEncoder: encoder.type {encoder['type']!r} is no backbone of MMEngine's registries; give "
                         "one with its scope, e.g. 'mmseg.SwinTransformer'.")
    if init_cfg is not None:
        options.setdefault('init_cfg', init_cfg)
    # Hosts read values while they build, which the meta device has not.
    with torch.device('cpu'):
        built = type(kind.__name__, (_Adapted, kind), {})(kind, options)
    built.to(torch.get_default_device())
    built.state(in_channels, divisor, mean, std, out_channels, second_linear, experts)
    return built


def _resized_windows(table: Tensor, shape: torch.Size) -> Tensor:
    """Relative positions ((2 k - 1)^2, heads) of windows of k x k cells, for windows of another size."""
    old, new = math.isqrt(len(table)), math.isqrt(shape[0])
    if table.shape == shape or table.shape[1:] != shape[1:] or old**2 != len(table):
        return table
    image = table.T.unflatten(1, (old, old))[None].float()
    return F.interpolate(image, (new, new), mode='bicubic')[0].flatten(1).T.to(table.dtype)


class _Adapted(Encoder):
    """To be mixed in before a host's class: the host computes, this states."""

    def __init__(self, host: type[BaseModule], options: dict) -> None:
        host.__init__(self, **options)
        self._host = host

    def state(self, in_channels: int, divisor: int, mean: Sequence[float], std: Sequence[float],
              out_channels: Sequence[int] | None, second_linear: str, experts: dict | None) -> None:
        """Set what :func:`host_encoder` was given."""
        self.in_channels, self.divisor, self.mean, self.std = in_channels, divisor, tuple(mean), tuple(std)
        self._second_linear = re.compile(second_linear)
        self.experts = None if experts is None else Experts(**experts)
        if self.experts is not None:
            self._add_experts(self.experts)
        self.out_channels = tuple(out_channels or self._found_channels())

    def _add_experts(self, experts: Experts) -> None:
        found = self.second_linears()
        if not found:
            raise ValueError(f'{self._host.__name__}: experts are wanted, but no linear layer has a name that matches '
                             f'{self._second_linear.pattern!r}; set HostEncoder.second_linear.')
        for name, layer in found.items():
            self.set_submodule(name, experts.second_linear(layer.in_features, layer.out_features))
        if isinstance(experts.router, nn.Module):
            self.router = experts.router

    @torch.no_grad()
    def _found_channels(self) -> list[int]:
        training, weight = self.training, next(self.parameters())
        self.eval()
        route = None if self.experts is None else Route(self.experts.names[:1], (1, ), None)
        maps = self(torch.zeros(1, self.in_channels, 2 * self.divisor, 2 * self.divisor, device=weight.device), route)
        self.train(training)
        return [level.shape[1] for level in maps]

    def train(self, mode: bool = True) -> Self:
        """Switch the mode as the host does, which may freeze stages."""
        self._host.train(self, mode)
        return self

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The host's forward pass."""
        if x.shape[-2] % self.divisor or x.shape[-1] % self.divisor:
            raise ValueError(f'{self._host.__name__}: images of {x.shape[-1]}x{x.shape[-2]} px do not fit, both sides '
                             f'must be multiples of {self.divisor}; set the crop size or the data preprocessor\'s '
                             'size_divisor.')
        return contiguous(tuple(self._host.forward(self, x)))

    def adapt_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Resize the tables of windows of another size bicubically; see :class:`Encoder`."""
        own = self.state_dict()
        return {name: _resized_windows(value, own[name].shape) if name in own and name.endswith(WINDOWS) else value
                for name, value in super().adapt_weights(weights).items()}

    def second_linears(self) -> dict[str, nn.Linear]:
        """Linear layers whose names match the pattern."""
        return {name: module for name, module in self.named_modules()
                if isinstance(module, nn.Linear) and self._second_linear.search(name)}

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Blocks in the order of their parameters; the host's own rule if it has one."""
        if hasattr(self._host, 'get_layer_depth'):
            return self._host.get_layer_depth(self, param_name, prefix)
        names = [name for name, _ in self.named_parameters()]
        found = list(dict.fromkeys(match[0] for match in map(BLOCK.match, names) if match))
        # Between blocks stand layers of their stage, e.g. stages.0.downsample beside stages.0.blocks.0.
        blocks = [block for block in found if not any(other != block and other.startswith(block) for other in found)]
        number = len(blocks) + 2
        if not param_name.startswith(prefix):
            return number - 1, number
        # What is in no block is as deep as the block before it; the stem stands before all of them.
        until = names[:names.index(param_name.removeprefix(prefix)) + 1]
        return max((i for i, block in enumerate(blocks, 1) if any(name.startswith(block) for name in until)),
                   default=0), number

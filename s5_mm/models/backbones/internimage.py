"""InternImage: a convolutional encoder of four levels."""
from collections.abc import Sequence

import torch
from mmcv.cnn.bricks import DropPath
from mmengine.model import ModuleDict, ModuleList
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from s5_mm.models.layers import FFN
from s5_mm.models.layers.dcnv3 import DCNv3
from s5_mm.registry import MODELS

from .encoder import Encoder, contiguous


class ConvNorm(nn.Module):
    """A 3x3 convolution of stride 2 and a layer norm over channels, (B, C, H, W) -> (B, H / 2, W / 2, out)."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool, norm_eps: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=bias)
        self.norm = nn.LayerNorm(out_channels, eps=norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Halve a map."""
        return self.norm(self.conv(x).permute(0, 2, 3, 1))


class InternImageBlock(nn.Module):
    """Deformable convolution, then FFN, each normalized and scaled before it is added.

    Args:
        channels: C.
        dcn: The convolution.
        ffn: The feed-forward network.
        layer_scale: Initial value of both scales.
        drop_path: Drop path rate.
        norm_eps: Of both norms.
    """

    def __init__(self, channels: int, dcn: nn.Module, ffn: nn.Module, layer_scale: float, drop_path: float,
                 norm_eps: float) -> None:
        super().__init__()
        self.dcn, self.mlp = dcn, ffn
        self.norm1, self.norm2 = (nn.LayerNorm(channels, eps=norm_eps) for _ in range(2))
        self.gamma1, self.gamma2 = (nn.Parameter(torch.full((channels, ), layer_scale)) for _ in range(2))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Transform a map (B, H, W, C)."""
        x = x + self.drop_path(self.gamma1 * self.norm1(self.dcn(x)))
        return x + self.drop_path(self.gamma2 * self.norm2(self.mlp(x)))


@MODELS.register_module()
class InternImage(Encoder):
    """InternImage (arXiv 2211.05778) with norms behind the branches, as MTP (arXiv 2403.13430) pre-trains its XL.

    Maps are the outputs of each level before the next one halves it, of strides 4, 8, 16 and 32 px, without final norm.
    The deformable convolution is plain torch: it runs anywhere, slower than the authors' CUDA operator.

    Args:
        channels: Channels of the first level; each further one has twice as many.
        depths: Blocks of each level.
        groups: Groups of the convolutions of each level.
        mlp_ratio: Channels inside FFNs, as a multiple.
        offset_scale: See :class:`DCNv3`.
        layer_scale: Initial value of the layer scale.
        drop_path_rate: Of the last block, rising linearly from 0 at the first.
        with_cp: Whether to recompute blocks in the backward pass.
        norm_eps: Of all layer norms.
        experts: See :class:`Encoder`.
        init_cfg: MMEngine's initialization.
    """

    divisor = 32

    def __init__(self,
                 channels: int = 192,
                 depths: Sequence[int] = (5, 5, 24, 5),
                 groups: Sequence[int] = (12, 24, 48, 96),
                 mlp_ratio: int = 4,
                 offset_scale: float = 2.0,
                 layer_scale: float = 1e-5,
                 drop_path_rate: float = 0.2,
                 with_cp: bool | str = False,
                 norm_eps: float = 1e-6,
                 experts: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(experts, init_cfg)
        self.out_channels = tuple(channels * 2**i for i in range(len(depths)))
        self.depths, self.with_cp, self.norm_eps = tuple(depths), with_cp, norm_eps
        self.patch_embed = nn.ModuleList([
            ConvNorm(self.in_channels, channels // 2, True, norm_eps),
            ConvNorm(channels // 2, channels, True, norm_eps)])
        second_linear = nn.Linear if self.experts is None else self.experts.second_linear
        rates = iter(torch.linspace(0, drop_path_rate, sum(depths), device='cpu').tolist())
        self.levels = ModuleList()
        for width, depth, group in zip(self.out_channels, depths, groups, strict=True):
            level = dict(blocks=ModuleList(InternImageBlock(
                width, DCNv3(width, group, offset_scale, norm_eps),
                FFN(width, mlp_ratio * width, second_linear=second_linear), layer_scale, next(rates), norm_eps)
                for _ in range(depth)))
            if width < self.out_channels[-1]:
                level['downsample'] = ConvNorm(width, 2 * width, False, norm_eps)
            self.levels.append(ModuleDict(level))

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """See :class:`Encoder`."""
        if x.shape[-2] % self.divisor or x.shape[-1] % self.divisor:
            raise ValueError(f'InternImage: images of {x.shape[-1]}x{x.shape[-2]} px do not fit, both sides must be '
                             f'multiples of {self.divisor}; set the crop size or the data preprocessor\'s '
                             'size_divisor.')
        first, second = self.patch_embed
        x = second(nn.functional.gelu(first(x)).permute(0, 3, 1, 2))
        maps = []
        for level in self.levels:
            for block in level['blocks']:
                x = self._run(block, x)
            maps.append(x.permute(0, 3, 1, 2))
            if 'downsample' in level:
                x = level['downsample'](maps[-1])
        return contiguous(tuple(maps))

    def _run(self, block: nn.Module, x: Tensor) -> Tensor:
        if not self.with_cp or not torch.is_grad_enabled():
            return block(x)
        function = block if self.experts is None else self.experts.current.bind(block)
        return checkpoint(function, x, use_reentrant=False)

    def second_linears(self) -> dict[str, nn.Linear]:
        """Second layer of each FFN."""
        return {f'levels.{i}.blocks.{j}.mlp.layers.1': block.mlp.layers[1]
                for i, level in enumerate(self.levels) for j, block in enumerate(level['blocks'])}

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth 0: stem; then a depth for each block, whose level's convolution behind it has that of the last one."""
        depths, parts = sum(self.depths) + 2, param_name.removeprefix(prefix).split('.')
        if not param_name.startswith(prefix) or parts[0] not in ('patch_embed', 'levels'):
            return depths - 1, depths
        if parts[0] == 'patch_embed':
            return 0, depths
        level = int(parts[1])
        inside = int(parts[3]) + 1 if parts[2] == 'blocks' else self.depths[level]
        return sum(self.depths[:level]) + inside, depths

"""torchvision's Swin V2 as a backbone with four maps."""
from collections.abc import Sequence
from functools import partial

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2

from s5_mm.registry import MODELS


@MODELS.register_module()
class SwinTransformerV2(BaseModule):
    """Swin V2 (arXiv 2111.09883) of torchvision, whose names SatlasNet's files have; the maps pass no norm.

    Biases of keys have no effect there.

    Args:
        embed_dims: Channels of the first stage.
        depths: Blocks of each stage.
        num_heads: Heads of each stage.
        window_size: Side of a window in cells.
        drop_path_rate: Of the last block, rising linearly from 0 at the first.
        with_cp: Whether to recompute blocks in the backward pass to save memory.
        init_cfg: MMEngine's initialization.

    Attributes:
        may_drop: Patterns of names in files that the maps do without: the norm before torchvision's classifier.
    """

    may_drop = ('norm.', )

    def __init__(self, embed_dims: int = 128, depths: Sequence[int] = (2, 2, 18, 2),
                 num_heads: Sequence[int] = (4, 8, 16, 32), window_size: int = 8, drop_path_rate: float = 0.1,
                 with_cp: bool = False, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        whole = SwinTransformer(
            [4, 4], embed_dims, list(depths), list(num_heads), [window_size] * 2,
            stochastic_depth_prob=drop_path_rate, num_classes=1, norm_layer=partial(nn.LayerNorm, eps=1e-5),
            block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2)
        self.features = whole.features
        self.depths = tuple(depths)
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, embed_dims 2^i, H / (4 2^i), W / (4 2^i)) of images (B, 3, H, W)."""
        maps = []
        for i, part in enumerate(self.features):
            for layer in part if i % 2 else [part]:
                again = i % 2 and self.with_cp and torch.is_grad_enabled()
                x = checkpoint(layer, x, use_reentrant=False) if again else layer(x)
            if i % 2:
                maps.append(x.permute(0, 3, 1, 2))
        return tuple(maps)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth 0: patch embedding; then block by block; a downsampling belongs to the block before it."""
        number = sum(self.depths) + 2
        if not param_name.startswith(prefix):
            return number - 1, number
        # Odd parts are stages of blocks, even ones what stands before them.
        part, inside, *_ = param_name.removeprefix(f'{prefix}features.').split('.')
        before = sum(self.depths[:int(part) // 2])
        return before + (int(inside) + 1 if int(part) % 2 else 0), number

"""Plain ViT encoder with a feature pyramid, as S5 pre-trains it."""
import math
from collections.abc import Callable, Iterable
from functools import partial

import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from mmseg.models.necks import Feature2Pyramid
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from s5_mm.models.layers import DeferredUpsampling, SelfAttention, TokenLinear, subpixel_conv
from s5_mm.registry import MODELS

# out_indices: the four blocks whose outputs become the pyramid's levels.
ARCHS = {
    'tiny': dict(embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384, out_indices=(0, 1, 2, 3)),
    'base': dict(embed_dims=768, num_layers=12, num_heads=12, feedforward_channels=3072, out_indices=(3, 5, 7, 11)),
    'large': dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096, out_indices=(7, 11, 15, 23)),
    'huge': dict(embed_dims=1280, num_layers=32, num_heads=16, feedforward_channels=5120, out_indices=(15, 23, 27, 31)),
}

# What selective checkpointing keeps: the results of matrix products and attention, which are dear to compute again.
ATEN = torch.ops.aten
KEPT = [
    ATEN.mm.default, ATEN.addmm.default, ATEN.convolution.default,
    ATEN._scaled_dot_product_flash_attention_for_cpu.default, ATEN._scaled_dot_product_flash_attention.default,
    ATEN._scaled_dot_product_efficient_attention.default, ATEN._scaled_dot_product_cudnn_attention.default
]


@MODELS.register_module()
class ViT(VisionTransformer):
    """ViT encoder of S5 (arXiv 2508.12409) with a pyramid of strides 1/4, 1/2, 1 and 2 patches.

    mmpretrain's ViT, which attends through ``scaled_dot_product_attention``, with these differences: LayerNorm eps
    1e-5, no class token, no final norm, drop path on the FFN alone, activation checkpointing, and the pyramid as a part
    of the encoder and of its checkpoints.

    Args:
        arch: A name in :data:`ARCHS` or a dict with its keys.
        img_size: Side of the training images in pixels; sets the size of the position table. Other sizes work too.
        patch_size: Side of a patch in pixels.
        out_indices: Blocks whose outputs feed the pyramid, four of them, 0-based; default the architecture's.
        drop_path_rate: Of the last block, rising linearly from 0 at the first.
        drop_path_on_attention: Whether attention is dropped too (S5: the FFN alone).
        with_cp: Whether to recompute blocks in the backward pass to save memory. ``'selective'``: their norms,
            activations and sums alone, which takes hardly any time; results of matrix products and attention are kept.
        defer_upsampling: Whether the two large levels come as :class:`s5_mm.models.layers.DeferredUpsampling`, which
            decoders that begin with 1 x 1 convolutions (UPerHead, FPN) go through at less cost.
        init_cfg: MMEngine's initialization.

    Raises:
        ValueError: The architecture or ``with_cp`` is unknown, or there are not four outputs.
    """

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int | tuple[int, int] = 512,
                 patch_size: int = 16,
                 out_indices: tuple[int, ...] | None = None,
                 drop_path_rate: float = 0.1,
                 drop_path_on_attention: bool = False,
                 with_cp: bool | str = False,
                 defer_upsampling: bool = False,
                 init_cfg: dict | None = None) -> None:
        if isinstance(arch, str) and arch not in ARCHS:
            raise ValueError(f'ViT: arch {arch!r} is unknown; choose from {list(ARCHS)} or give a dict.')
        settings = dict(ARCHS[arch] if isinstance(arch, str) else arch)
        out_indices = settings.pop('out_indices', None) if out_indices is None else out_indices
        if out_indices is None or len(out_indices) != 4:
            raise ValueError(f'ViT: out_indices is {out_indices}, four are needed, one for each pyramid level.')
        if with_cp not in (False, True, 'selective'):
            raise ValueError(f"ViT: with_cp is {with_cp!r}; choose from False, True and 'selective'.")
        super().__init__(
            arch=settings,
            img_size=img_size,
            patch_size=patch_size,
            out_indices=list(out_indices),
            drop_path_rate=drop_path_rate,
            norm_cfg=dict(type='LN', eps=1e-5),
            final_norm=False,
            out_type='featmap',
            with_cls_token=False,
            init_cfg=init_cfg)
        self.patch_size = patch_size
        self.with_cp = with_cp
        self.defer_upsampling = defer_upsampling
        for layer in self.layers:
            layer.attn = SelfAttention.replacing(layer.attn)
            if not drop_path_on_attention:
                layer.attn.out_drop = nn.Identity()
        TokenLinear.replace_in(self.layers)
        self.pyramid = Feature2Pyramid(self.embed_dims, norm_cfg=dict(type='mmpretrain.LN2d', eps=1e-6))

    def init_weights(self) -> None:
        """As mmpretrain; what ``init_cfg`` gives the position table stays."""
        super(VisionTransformer, self).init_weights() if self.init_cfg else super().init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode images.

        Args:
            x: Normalized images, (B, 3, H, W); H and W divisible by the patch size and at least two patches.

        Returns:
            Four maps (B, embed_dims, h, w) with h = 4, 2, 1 and 1/2 times H / patch_size. They are contiguous in
            memory: compiled operators of detectors misread any other layout.

        Raises:
            ValueError: The image size does not fit.
        """
        return self._encode(x, self.layers)

    def _encode(self, x: Tensor, layers: Iterable[Callable[[Tensor], Tensor]]) -> tuple[Tensor, ...]:
        """As :meth:`forward`, through the given blocks."""
        height, width = x.shape[-2:]
        patch = self.patch_size
        if height % patch or width % patch or min(height, width) < 2 * patch:
            raise ValueError(f'ViT: images of {width}x{height} px do not fit, both sides must be multiples of {patch} '
                             f'and at least {2 * patch}; set the crop size or the data preprocessor\'s size_divisor.')
        x, hw = self.patch_embed(x)
        x = x + resize_pos_embed(self.pos_embed, self.patch_resolution, hw, self.interpolate_mode, num_extra_tokens=0)
        # The patch embedding's result lies channel by channel, and sums keep that; every norm would copy it.
        x = x.contiguous()
        maps = []
        for i, layer in enumerate(layers):
            x = self._recomputed(layer, x) if self.with_cp and torch.is_grad_enabled() else layer(x)
            if i in self.out_indices:
                maps.append(self._format_output(x, hw))
        levels = self._deferred_pyramid(maps) if self.defer_upsampling else self.pyramid(maps)
        return tuple(level.contiguous() if isinstance(level, Tensor) else level for level in levels)

    def _deferred_pyramid(self, maps: list[Tensor]) -> tuple[DeferredUpsampling | Tensor, ...]:
        """As the pyramid, without its last upsampling."""
        first, norm, activation, last = self.pyramid.upsample_4x
        x = activation(norm(subpixel_conv(maps[0], first.weight, first.bias)))
        upsampled = DeferredUpsampling(x, last), DeferredUpsampling(maps[1], self.pyramid.upsample_2x[0])
        return (*upsampled, maps[2], self.pyramid.downsample_2x(maps[3]))

    def _recomputed(self, layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Result of a block that computes what :attr:`with_cp` tells again in the backward pass."""
        if self.with_cp is True:
            return checkpoint(layer, x, use_reentrant=False)
        kept = partial(create_selective_checkpoint_contexts, KEPT)
        return checkpoint(layer, x, use_reentrant=False, context_fn=kept)

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Bring weights under this encoder's dense names into its form: the position table gets its size.

        Args:
            weights: Name without prefix -> value.

        Raises:
            ValueError: The table is of another size and not square.
        """
        if 'pos_embed' not in weights:
            return weights
        return dict(weights, pos_embed=self._resized_table(weights['pos_embed']))

    def _resized_table(self, table: Tensor) -> Tensor:
        """A table (1, N, C) with as many entries as this encoder's; a class entry is recognized by their number."""
        own, entries = self.pos_embed.shape[1], table.shape[1]
        if entries == own + 1 or entries != own and (
                math.isqrt(entries)**2 != entries and math.isqrt(entries - 1)**2 == entries - 1):
            table = table[:, 1:]
        side = math.isqrt(table.shape[1])
        if table.shape[1] != own and side**2 != table.shape[1]:
            raise ValueError(f'ViT: pos_embed has {entries} entries, neither a square number nor one more; a table of '
                             'another shape can only be resized from a square one.')
        if table.shape[1] != own:
            table = resize_pos_embed(table, (side, side), self.patch_resolution, self.interpolate_mode, 0)
        return table

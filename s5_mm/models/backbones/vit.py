"""Plain ViT encoder with a feature pyramid, as S5 pre-trains it."""
import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmengine.model import ModuleList
from mmengine.model.weight_init import trunc_normal_
from mmseg.models.necks import Feature2Pyramid
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from s5_mm.models.layers import RULES, resize_table
from s5_mm.registry import MODELS

from .encoder import MEAN, STD, Encoder, contiguous

# out_indices: the four blocks whose outputs become the levels of the pyramid.
ARCHS = {
    'tiny': dict(embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384, out_indices=(0, 1, 2, 3)),
    'small': dict(embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536, out_indices=(3, 5, 7, 11)),
    'base': dict(embed_dims=768, num_layers=12, num_heads=12, feedforward_channels=3072, out_indices=(3, 5, 7, 11)),
    'large': dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096, out_indices=(7, 11, 15, 23)),
    'huge': dict(embed_dims=1280, num_layers=32, num_heads=16, feedforward_channels=5120, out_indices=(15, 23, 27, 31)),
}


# What stands before the blocks.
STEM = ('patch_embed.', 'pos_embed', 'cls_token', 'registers', 'channel_')


class Block(nn.Module):
    """Pre-norm transformer block: attention, then FFN, each with a residual connection.

    Args:
        embed_dims: Channels C.
        attn: Takes tokens (B, N, C), the grid (rows, columns) of the patches and, with rotary positions, the rotation.
        ffn: Takes tokens (B, N, C).
        norm_eps: Of the two layer norms.
    """

    def __init__(self, embed_dims: int, attn: nn.Module, ffn: nn.Module, norm_eps: float) -> None:
        super().__init__()
        self.ln1, self.ln2 = (nn.LayerNorm(embed_dims, eps=norm_eps) for _ in range(2))
        self.attn, self.ffn = attn, ffn

    def forward(self, x: Tensor, *where: tuple) -> Tensor:
        """Transform tokens (B, N, C); attention is told where the patches are."""
        x = x + self.attn(self.ln1(x), *where)
        return x + self.ffn(self.ln2(x))


@MODELS.register_module()
class ViT(Encoder):
    """ViT encoder of S5 (arXiv 2508.12409) with a pyramid of strides 1/4, 1/2, 1 and 2 patches.

    S5's function is the default: LayerNorm eps 1e-5, no class token, no final norm, drop path on the FFN alone. The
    pyramid is a part of the encoder and of its checkpoints.

    Args:
        arch: A name in :data:`ARCHS` or a dict with its keys.
        img_size: Side of the training images in pixels; sets the size of the position table. Other sizes work too.
        patch_size: Side of a patch in pixels.
        in_channels: Number of bands.
        out_indices: Blocks whose outputs feed the pyramid, four of them, 0-based; default the architecture's.
        drop_path_rate: Of the last block, rising linearly from 0 at the first.
        drop_path_on_attention: Whether attention is dropped too.
        norm_eps: Of the layer norms in the blocks.
        qkv_bias: Whether query, key and value have a bias.
        class_token: Whether a learned token stands before the patches, as in MAE's pre-training.
        registers: Number of learned tokens without a position behind the class token, as in DINOv2 and DINOv3.
        layer_scale: Initial value of the layer scale; 0: none.
        final_norm: Whether the maps of all four blocks pass the norm that stands behind the last block.
        position_table: How the learned position table is resized for images of other sizes, one of
            :data:`s5_mm.models.layers.RULES`; ``None``: there is no table.
        rope: Config of a rotary embedding, built with ``head_dims``; ``None``: none.
        patch_padding: Zeros around the image, in pixels.
        attention: Config of the attention of every block, built with ``embed_dims, num_heads, drop_path, qkv_bias,
            layer_scale``. A list: of the first, second, ... block and so on in turn. ``grid=None`` in it becomes the
            grid of ``img_size``.
        ffn: Config of its FFN, built with ``embed_dims, feedforward_channels, drop_path, layer_scale, second_linear``.
        frozen_stages: Blocks that are not trained, from the first; 0: patch embedding and position table alone; -1:
            everything is trained. The pyramid is always trained.
        with_cp: Whether to recompute blocks in the backward pass to save memory. ``'selective'``: norms, activations
            and sums alone, which takes hardly any time.
        may_drop: Patterns of names in files that this encoder does without, beside those that the format names.
        mean: Of each band, for normalization, in the range of the images.
        std: Likewise.
        experts: See :class:`Encoder`.
        init_cfg: MMEngine's initialization.

    Raises:
        ValueError: The architecture, ``with_cp`` or ``position_table`` is unknown, there are not four outputs, or
            ``frozen_stages`` exceeds the blocks.
    """

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int | tuple[int, int] = 512,
                 patch_size: int = 16,
                 in_channels: int = 3,
                 out_indices: tuple[int, ...] | None = None,
                 drop_path_rate: float = 0.1,
                 drop_path_on_attention: bool = False,
                 norm_eps: float = 1e-5,
                 qkv_bias: bool = True,
                 class_token: bool = False,
                 registers: int = 0,
                 layer_scale: float = 0.0,
                 final_norm: bool = False,
                 position_table: str | None = 'bicubic',
                 rope: dict | None = None,
                 patch_padding: int = 0,
                 attention: dict | list[dict] = dict(type='s5_mm.SelfAttention'),  # noqa: B006  configs are not changed
                 ffn: dict = dict(type='s5_mm.FFN'),  # noqa: B006
                 frozen_stages: int = -1,
                 with_cp: bool | str = False,
                 may_drop: Sequence[str] = (),
                 mean: Sequence[float] = MEAN,
                 std: Sequence[float] = STD,
                 experts: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(experts, init_cfg)
        if isinstance(arch, str) and arch not in ARCHS:
            raise ValueError(f'ViT: arch {arch!r} is unknown; choose from {list(ARCHS)} or give a dict.')
        settings = dict(ARCHS[arch] if isinstance(arch, str) else arch)
        out_indices = settings.pop('out_indices', None) if out_indices is None else out_indices
        if out_indices is None or len(out_indices) != 4:
            raise ValueError(f'ViT: out_indices is {out_indices}, four are needed, one for each pyramid level.')
        if with_cp not in (False, True, 'selective'):
            raise ValueError(f"ViT: with_cp is {with_cp!r}; choose from False, True and 'selective'.")
        if not -1 <= frozen_stages <= settings['num_layers']:
            raise ValueError(f'ViT: frozen_stages is {frozen_stages}; give -1 (nothing) to {settings["num_layers"]}.')
        if position_table not in (None, *RULES):
            raise ValueError(f'ViT: position_table is {position_table!r}; choose from {list(RULES)} and None.')
        self.embed_dims: int = settings['embed_dims']
        self.num_layers: int = settings['num_layers']
        self.out_channels = (self.embed_dims, ) * 4
        self.out_indices = tuple(out_indices)
        self.divisor = self.patch_size = patch_size
        self.in_channels = in_channels
        self.mean, self.std = tuple(mean), tuple(std)
        self.norm_eps = norm_eps
        self.patch_padding = patch_padding
        self.may_drop = tuple(may_drop)
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp

        self.patch_embed = PatchEmbed(in_channels, self.embed_dims, kernel_size=patch_size, stride=patch_size,
                                      padding=patch_padding or 'corner', input_size=img_size)
        self.patch_resolution: tuple[int, int] = self.patch_embed.init_out_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims)) if class_token else None
        self.registers = nn.Parameter(torch.zeros(1, registers, self.embed_dims)) if registers else None
        self.position_table = position_table
        self.pos_embed = None if position_table is None else nn.Parameter(
            torch.zeros(1, math.prod(self.patch_resolution) + class_token, self.embed_dims))
        self.rope = None if rope is None else MODELS.build(
            dict(rope, head_dims=self.embed_dims // settings['num_heads']))
        in_turn = attention if isinstance(attention, list | tuple) else [attention]
        attentions = [dict(one, embed_dims=self.embed_dims, num_heads=settings['num_heads'], qkv_bias=qkv_bias,
                           layer_scale=layer_scale) for one in in_turn]
        for one in attentions:
            if 'grid' in one and one['grid'] is None:
                one['grid'] = self.patch_resolution
        ffn = dict(ffn, embed_dims=self.embed_dims, feedforward_channels=settings['feedforward_channels'],
                   layer_scale=layer_scale,
                   second_linear=nn.Linear if self.experts is None else self.experts.second_linear)
        rates = [drop_path_rate * i / max(1, self.num_layers - 1) for i in range(self.num_layers)]
        self.layers = ModuleList(
            Block(self.embed_dims,
                  MODELS.build(dict(attentions[i % len(attentions)], drop_path=drop_path_on_attention * rate)),
                  MODELS.build(dict(ffn, drop_path=rate)), norm_eps) for i, rate in enumerate(rates))
        self.norm = nn.LayerNorm(self.embed_dims, eps=norm_eps) if final_norm else None
        self.pyramid = Feature2Pyramid(self.embed_dims, norm_cfg=dict(type='mmpretrain.LN2d', eps=1e-6))
        self._freeze()

    @property
    def map_strides(self) -> tuple[float, ...]:
        """Of the pyramid."""
        return tuple(self.patch_size * factor for factor in (0.25, 0.5, 1.0, 2.0))

    def init_weights(self) -> None:
        """Initialize FFNs and position table as mmpretrain's ViT does, then as ``init_cfg`` says."""
        for layer in self.layers:
            for linear in (module for module in layer.ffn.modules() if isinstance(module, nn.Linear)):
                nn.init.xavier_uniform_(linear.weight)
                nn.init.normal_(linear.bias, std=1e-6)
        for table in (self.pos_embed, self.registers):
            if table is not None:
                trunc_normal_(table, std=0.02)
        super().init_weights()

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """As :meth:`forward`; sides must be at least two patches.

        Returns:
            Four maps (B, embed_dims, h, w) with h = 4, 2, 1 and 1/2 times H / patch_size.
        """
        height, width = x.shape[-2:]
        patch = self.patch_size
        if height % patch or width % patch or min(height, width) < 2 * patch:
            raise ValueError(f'ViT: images of {width}x{height} px do not fit, both sides must be multiples of {patch} '
                             f'and at least {2 * patch}; set the crop size or the data preprocessor\'s size_divisor.')
        return contiguous(self.pyramid(self.block_maps(x)))

    def block_maps(self, x: Tensor) -> list[Tensor]:
        """Maps (B, embed_dims, H / patch_size, W / patch_size) of the blocks :attr:`out_indices`, of which the pyramid
        is made.
        """
        x, grid = self.patch_embed(x)
        x = self.embed(x, grid)
        where = (grid, ) if self.rope is None else (grid, self.rope(grid))
        maps = {}
        for i, layer in enumerate(self.layers):
            x = self._recomputed(layer, x, *where) if self.with_cp and torch.is_grad_enabled() else layer(x, *where)
            if i in self.out_indices:
                patches = self.patches_of(x, grid)
                patches = patches if self.norm is None else self.norm(patches)
                maps[i] = patches.transpose(1, 2).unflatten(2, grid)
        return [maps[i] for i in self.out_indices]

    def patches_of(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens of patches alone, (B, N, C)."""
        return x[:, -math.prod(grid):]

    def embed(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Class token, registers and patches with positions, (B, extra + N, C), of patches (B, N, C)."""
        entry = 0 if self.cls_token is None else 1
        if entry:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        if self.pos_embed is not None:
            x = x + resize_table(self.pos_embed, self.patch_resolution, grid, self.position_table, entry)
        if self.registers is not None:
            x = torch.cat([x[:, :entry], self.registers.expand(x.shape[0], -1, -1), x[:, entry:]], dim=1)
        # The patch embedding is a transposed view; contiguous once, so that no norm copies it.
        return x.contiguous()

    def _recomputed(self, layer: Block, x: Tensor, *where: tuple) -> Tensor:
        """Run a block under activation checkpointing as configured by :attr:`with_cp`."""
        function = layer if self.experts is None else self.experts.current.bind(layer)
        if self.with_cp is True:
            return checkpoint(function, x, *where, use_reentrant=False)
        # What is saved is told apart by the order of the operations. Where a model runs the encoder twice in one step,
        # autocast would cast the weights in the first run alone, and once more when the second one is recomputed.
        device = x.device.type
        with torch.autocast(device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device),
                            cache_enabled=False):
            return checkpoint(function, x, *where, use_reentrant=False,
                              context_fn=partial(create_selective_checkpoint_contexts, _save_products))

    def second_linears(self) -> dict[str, nn.Linear]:
        """Last linear layer of each FFN."""
        found = {}
        for i, layer in enumerate(self.layers):
            name, linear = [pair for pair in layer.ffn.named_modules() if isinstance(pair[1], nn.Linear)
                            and '.experts.' not in f'.{pair[0]}'][-1]
            found[f'layers.{i}.ffn.{name}'] = linear
        return found

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth 0: what stands before the blocks; i + 1: block i; last: final norm, pyramid and what is outside."""
        depths = self.num_layers + 2
        name = param_name.removeprefix(prefix)
        if not param_name.startswith(prefix):
            return depths - 1, depths
        if name.startswith('layers.'):
            return int(name.split('.')[1]) + 1, depths
        return 0 if name.startswith(STEM) else depths - 1, depths

    def adapt_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Resize the position table, with or without a class entry, to this encoder's; see :class:`Encoder`.

        Raises:
            ValueError: The table is of another size and not square.
        """
        weights = super().adapt_weights(weights)
        if 'pos_embed' in weights and self.pos_embed is not None:
            weights['pos_embed'] = self._resized_table(weights['pos_embed'])
        for i, layer in enumerate(self.layers):
            if hasattr(layer.attn, 'adapt_weights'):
                prefix = f'layers.{i}.attn.'
                inside = {name.removeprefix(prefix): value for name, value in weights.items()
                          if name.startswith(prefix)}
                weights |= {prefix + name: value for name, value in layer.attn.adapt_weights(inside).items()}
        return weights

    def _resized_table(self, table: Tensor) -> Tensor:
        """The table (1, N, C) with as many entries as this encoder's; a class entry comes first."""
        own, entries = self.pos_embed.shape[1], table.shape[1]
        extra = 0 if self.cls_token is None else 1
        grid = own - extra
        has_entry = entries == grid + 1 or (
            entries != grid and math.isqrt(entries)**2 != entries and math.isqrt(entries - 1)**2 == entries - 1)
        patches, entry = table[:, int(has_entry):], table[:, :int(has_entry)]
        if extra and not has_entry:
            raise ValueError(f'ViT: pos_embed has {entries} entries, none of them for the class token of this encoder; '
                             'set class_token=False.')
        side = math.isqrt(patches.shape[1])
        if patches.shape[1] != grid and side**2 != patches.shape[1]:
            raise ValueError(f'ViT: pos_embed has {entries} entries, neither a square number nor one more; a table of '
                             'another shape can only be resized from a square one.')
        if patches.shape[1] != grid:
            patches = resize_table(patches, (side, side), self.patch_resolution, self.position_table)
        return torch.cat([entry, patches], dim=1) if extra else patches

    def train(self, mode: bool = True) -> 'ViT':
        """Switch the mode; frozen blocks stay in eval mode."""
        super().train(mode)
        for layer in self.layers[:max(0, self.frozen_stages)]:
            layer.eval()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        for name, parameter in self.named_parameters():
            if name.startswith(STEM):
                parameter.requires_grad = False
        for parameter in self.layers[:self.frozen_stages].parameters():
            parameter.requires_grad = False


def _save_products(_: object, operator: object, *args: object, **kwargs: object) -> CheckpointPolicy:
    """Selective checkpointing saves outputs of matrix products, convolutions and attention, which are expensive."""
    expensive = ('mm.default', 'convolution.default', 'scaled_dot_product')
    return (CheckpointPolicy.MUST_SAVE if any(part in str(operator) for part in expensive)
            else CheckpointPolicy.PREFER_RECOMPUTE)

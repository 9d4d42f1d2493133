"""ViT whose patch embedding is generated from the wavelengths of the bands.

Shapes: L wavelengths, W = 128 channels of a wavelength, C channels, p pixels a side of a patch.
"""
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s5_mm.registry import MODELS

from .vit import ViT

GENERATOR = 'patch_embed.weight_generator.'
RESIDUAL = 'patch_embed.fclayer.'
WIDTH, HEADS, TOKENS, SCALE = 128, 4, 128, 0.01


@MODELS.register_module()
class DOFA(ViT):
    """DOFA (arXiv 2403.15356) for fixed bands: a plain ViT whose images have a border of one pixel of zeros.

    For fixed bands the generated kernel is constant. It is computed once, when a file is loaded, and trained from then
    on; the generator is left out.

    Args:
        wavelengths: Of each band, in micrometers, in the order of the bands.
        kwargs: As :class:`ViT` takes them, but for ``in_channels`` and ``patch_padding``; with a class token.

    Raises:
        ValueError: A wavelength is not positive.
    """

    def __init__(self, wavelengths: Sequence[float], **kwargs: object) -> None:
        if not wavelengths or min(wavelengths) <= 0:
            raise ValueError(f'DOFA: wavelengths are {wavelengths}; give micrometers of each band, above 0.')
        super().__init__(in_channels=len(wavelengths), patch_padding=1, class_token=True, **kwargs)
        self.wavelengths = tuple(wavelengths)

    def adapt_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the patch embedding of this encoder's bands from a generator; see :class:`ViT`.

        Raises:
            ValueError: The generator has other parameters than the published one.
        """
        weights = dict(weights)
        parts = {name: weights.pop(name) for name in list(weights) if name.startswith((GENERATOR, RESIDUAL))}
        if parts:
            kernel, bias = generated(parts, self.wavelengths, self.embed_dims, self.patch_size)
            weights |= {'patch_embed.projection.weight': kernel, 'patch_embed.projection.bias': bias}
        return super().adapt_weights(weights)


class _Generator(nn.Module):
    """The published modules, under their names."""

    def __init__(self, embed_dims: int, patch_size: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, dropout=0.0, activation='gelu')
        self.weight_generator = nn.ModuleDict(dict(
            transformer_encoder=nn.TransformerEncoder(layer, 1, enable_nested_tensor=False),
            fc_weight=nn.Linear(WIDTH, patch_size**2 * embed_dims), fc_bias=nn.Linear(WIDTH, embed_dims)))
        self.weight_generator.register_parameter('weight_tokens', nn.Parameter(torch.empty(TOKENS, WIDTH)))
        self.weight_generator.register_parameter('bias_token', nn.Parameter(torch.empty(1, WIDTH)))
        self.fclayer = nn.ModuleDict(dict(w1=nn.Linear(WIDTH, WIDTH), w2=nn.Linear(WIDTH, WIDTH)))

    def forward(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (L, p p C) and bias (C) of sines of wavelengths (L, W)."""
        waves = waves + F.relu(self.fclayer['w2'](F.relu(self.fclayer['w1'](waves))))
        parts = self.weight_generator
        tokens = torch.cat([parts.weight_tokens, waves, parts.bias_token])
        seen = parts['transformer_encoder'](tokens[:, None])[:, 0]
        return parts['fc_weight'](seen[TOKENS:-1] + waves), parts['fc_bias'](seen[-1])


@torch.no_grad()
def generated(parts: Mapping[str, Tensor], wavelengths: Sequence[float], embed_dims: int,
              patch_size: int) -> tuple[Tensor, Tensor]:
    """The patch embedding that a published generator gives to bands.

    Args:
        parts: Its parameters, with names below ``patch_embed.``.
        wavelengths: In micrometers.
        embed_dims: C.
        patch_size: p.

    Returns:
        Kernel (C, L, p, p) and bias (C).

    Raises:
        ValueError: A parameter is missing, unknown or of another shape.
    """
    with torch.device('meta'):
        generator = _Generator(embed_dims, patch_size).eval()
    parts = {name.removeprefix('patch_embed.'): value for name, value in parts.items()}
    wrong = [name for name, value in generator.state_dict().items()
             if name not in parts or parts[name].shape != value.shape] + sorted({*parts} - {*generator.state_dict()})
    if wrong:
        raise ValueError(f'DOFA: the generator of the patch embedding does not fit in {len(wrong)} parameters, e.g. '
                         f'{wrong[0]}; choose the arch and patch_size of the file.')
    generator.load_state_dict(parts, assign=True)
    frequencies = 1 / 10000**(torch.arange(WIDTH // 2, dtype=torch.float32) / (WIDTH / 2))
    angles = torch.tensor(wavelengths, dtype=torch.float32)[:, None] * 1000 * frequencies
    sines = torch.cat([angles.sin(), angles.cos()], dim=1)
    weights, bias = generator(sines.to(parts['fclayer.w1.weight']))
    # As published, values are read on as channels, bands and pixels, though they come band by band.
    return weights.reshape(embed_dims, len(wavelengths), patch_size, patch_size) * SCALE, bias * SCALE

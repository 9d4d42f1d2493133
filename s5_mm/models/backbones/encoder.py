"""What every encoder states, so that heads, data preprocessors, curation and weights can ask it."""
from collections.abc import Mapping

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from s5_mm.models.layers import ExpertLinear, Experts
from s5_mm.routing import Route

# Of ImageNet, red, green, blue in 0 ... 255.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Encoder(BaseModule):
    """Base class of encoders: images to a pyramid of maps, with experts if wanted.

    A subclass implements :meth:`encode`, :meth:`get_layer_depth` and :meth:`second_linears` and sets the attributes.

    Attributes:
        out_channels: Channels of each map.
        divisor: Sides of images must be multiples of it, in pixels.
        in_channels: Number of bands.
        mean: Of each band, for normalization, in the range of the images (0 ... 255).
        std: Likewise.
        encoder_prefix: What stands before the encoder's parameters in its own state dict: nothing.

    Args:
        experts: The fields of :class:`s5_mm.models.layers.Experts`, which divide the second linear layer of every FFN;
            ``None``: all images share everything.
        init_cfg: MMEngine's initialization.
    """

    out_channels: tuple[int, ...]
    divisor: int
    in_channels: int = 3
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    encoder_prefix = ''

    def __init__(self, experts: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.experts = None if experts is None else Experts(**experts)
        if self.experts is not None and isinstance(self.experts.router, nn.Module):
            self.router = self.experts.router

    @property
    def map_strides(self) -> tuple[float, ...]:
        """Pixels a cell of each map; of encoders that halve maps level by level, the last one's is ``divisor``."""
        return tuple(self.divisor / 2**i for i in reversed(range(len(self.out_channels))))

    def forward(self, x: Tensor, route: Route | None = None) -> tuple[Tensor, ...]:
        """Encode images.

        Args:
            x: Normalized images, (B, bands, H, W), of any datasets in any order; H and W multiples of ``divisor``.
            route: Which of them belong to which dataset; needed by experts of more than one.

        Returns:
            Maps (B, out_channels[i], h, w), large ones first, in the order of ``x``. They are contiguous in memory:
            compiled operators of detectors misread any other layout.

        Raises:
            ValueError: The image size does not fit, or the experts lack a dataset of the route.
        """
        if self.experts is None:
            return self.encode(x)
        x = x if route is None else route.group(x)
        chosen = self.experts.router(x, None if route is None else route.grouped())
        self.experts.current.route = chosen
        maps = self.encode(x)
        return maps if route is None else tuple(route.ungroup(level) for level in maps)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """As :meth:`forward`, of images grouped by dataset."""
        raise NotImplementedError

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter and number of depths, for layer-wise learning rates.

        Args:
            param_name: Its name in the model.
            prefix: Of the encoder in the model.

        Returns:
            Depth 0 is the stem, the last one everything behind the blocks.
        """
        raise NotImplementedError

    def second_linears(self) -> dict[str, nn.Linear]:
        """Name -> second linear layer of each FFN, which may have experts."""
        raise NotImplementedError

    def auxiliary_losses(self) -> dict[str, Tensor]:
        """Losses of the router for the last batch."""
        return {} if self.experts is None else self.experts.router.losses()

    def adapt_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Bring weights under this encoder's dense names into its form.

        Of a dense second linear layer the first rows become the shared part, the last ones every expert's.

        Args:
            weights: Name without prefix -> value; names of experts stay.

        Raises:
            ValueError: There are experts, but not of every dataset.
        """
        weights = dict(weights)
        for name, layer in self.second_linears().items():
            if isinstance(layer, ExpertLinear):
                _split(weights, name, layer)
        return weights


def _split(weights: dict[str, Tensor], name: str, layer: ExpertLinear) -> None:
    """Split a dense layer in place, or check that all experts are there."""
    found = [key for key in weights if key.startswith(f'{name}.experts.')]
    missing = [one for one in layer.experts if f'{name}.experts.{one}.weight' not in weights]
    if found and missing:
        known = sorted({key.removeprefix(f'{name}.experts.').split('.')[0] for key in found})
        raise ValueError(f'The file has experts of {known}, none of {missing}; add them with '
                         'tools/model_converters/add_dataset.py.')
    for kind in () if found else ('weight', 'bias'):
        key = f'{name}.{kind}'
        if key in weights and len(weights[key]) == layer.out_features + next(iter(layer.experts.values())).out_features:
            shared, own = weights[key].split([layer.out_features, len(weights[key]) - layer.out_features])
            weights[key] = shared
            weights.update({f'{name}.experts.{one}.{kind}': own for one in layer.experts})


def contiguous(maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Maps in the layout that compiled operators expect."""
    return tuple(level.contiguous(memory_format=torch.contiguous_format) for level in maps)

"""ViT encoder with experts for several datasets (MoE-MDF)."""
import math
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from mmengine.model import ModuleDict
from torch import Tensor, nn

from s5_mm.checkpoints.experts import experts_in, split_dense
from s5_mm.models.layers import MoEFFN
from s5_mm.registry import MODELS
from s5_mm.routing import Route

from .vit import ViT


@MODELS.register_module()
class ViTMoE(ViT):
    """:class:`s5_mm.ViT` that computes a part of every FFN's output by an expert of the sample's dataset.

    Of the C output channels of an FFN ``part_features`` come from the dataset's expert, the others from the shared
    one (:class:`s5_mm.models.layers.MoEFFN`). Of the weights of dense encoders rows [:C - part_features] of the second
    linear layer become the shared expert, the others are copied to every dataset's.

    Args:
        datasets: Names of the datasets; :class:`s5_mm.MultiDatasetSegmentor` fills them in.
        part_features: Channels of an expert, in [0, C). 0: no experts, all datasets share everything (MDF).
        alpha: The same as a share of C, instead of ``part_features``; alpha * C must be an integer.
        expert_order: Datasets of the numbered experts of published files (``experts.0``, ``experts.1``, ...). Needed
            to load such a file alone.
        kwargs: Of :class:`s5_mm.ViT`.

    Raises:
        ValueError: The size of the experts is not told, or impossible; a name cannot be a key of a module.
    """

    takes_route = True

    def __init__(self,
                 datasets: Sequence[str],
                 part_features: int | None = None,
                 alpha: float | None = None,
                 expert_order: Sequence[str] | None = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.datasets = check_names(datasets)
        self.part_features = _part_features(part_features, alpha, self.embed_dims)
        if self.part_features:
            self.experts = SimpleNamespace(names=self.datasets, order=expert_order)
            for layer in self.layers:
                layer.ffn = MoEFFN(self.embed_dims, layer.ffn.feedforward_channels, self.part_features, self.datasets,
                                   drop_path=getattr(layer.ffn.dropout_layer, 'drop_prob', 0.0))

    def forward(self, x: Tensor, route: Route | None = None) -> tuple[Tensor, ...]:
        """Encode images of several datasets.

        Args:
            x: Normalized images, (B, 3, H, W), in any order.
            route: Which of them belong to which dataset; may be left out if the encoder has one.

        Returns:
            Four maps as :class:`s5_mm.ViT` gives them, in the order of ``x``.

        Raises:
            ValueError: A dataset is unknown, none is told, or the image size does not fit.
        """
        route = self._checked(route, len(x))
        if not self.part_features:
            return super().forward(x)
        layers = [partial(self._forward_layer, layer, route=route.grouped) for layer in self.layers]
        return tuple(route.ungroup(level) for level in self._encode(route.group(x), layers))

    @staticmethod
    def _forward_layer(layer: nn.Module, x: Tensor, route: Route) -> Tensor:
        x = x + layer.attn(layer.ln1(x))
        return layer.ffn(layer.ln2(x), x, route)

    @staticmethod
    def merged_config(cfg: dict) -> dict:
        """Config of the plain encoder that has the weights of :func:`s5_mm.checkpoints.experts.merge_experts`."""
        own = ('type', 'datasets', 'part_features', 'alpha', 'expert_order')
        return dict(type='s5_mm.ViT', **{key: value for key, value in cfg.items() if key not in own})

    def _checked(self, route: Route | None, number: int) -> Route:
        if route is None and len(self.datasets) == 1:
            return Route(self.datasets, (number, ), None)
        unknown = ['none'] if route is None else [name for name in route.names if name not in self.datasets]
        if unknown:
            raise ValueError(f'ViTMoE: the route names dataset {unknown[0]}, the encoder has {list(self.datasets)}; '
                             'give a Route of those.')
        return route

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Split dense weights; see :meth:`s5_mm.ViT.adapt_weights`.

        Raises:
            ValueError: There are experts, but not of every dataset.
        """
        weights = super().adapt_weights(weights)
        if not self.part_features:
            return weights
        weights = split_dense(weights, self.embed_dims, self.part_features, self.datasets)
        found = experts_in(weights)
        missing = [name for name in self.datasets if name not in found]
        if found and missing:
            raise ValueError(f'The file holds experts of datasets {found}, none of {missing}; add them to it with '
                             'tools/model_converters/add_dataset.py.')
        return weights


def check_names(datasets: Sequence[str]) -> tuple[str, ...]:
    """Names of datasets, which become keys of modules.

    Raises:
        ValueError: There is none, or one cannot be such a key.
    """
    names = tuple(datasets)
    bad = [name for name in names
           if not (isinstance(name, str) and name) or '.' in name or hasattr(ModuleDict(), name)]
    if bad or not names or len(set(names)) < len(names):
        wrong = f'{bad[0]!r} is impossible: ' if bad else ''
        raise ValueError(f'Datasets are named {list(names)}: {wrong}at least one is needed, each name once, without '
                         "dots, and not an attribute of torch modules such as 'keys'; rename it.")
    return names


def _part_features(part_features: int | None, alpha: float | None, channels: int) -> int:
    """Channels of an expert."""
    if (part_features is None) == (alpha is None):
        raise ValueError(f'ViTMoE: part_features is {part_features} and alpha {alpha}; give one of them, e.g. '
                         'part_features=256, or part_features=0 for no experts.')
    part = alpha * channels if part_features is None else part_features
    if not math.isclose(part, round(part), abs_tol=1e-6) or not 0 <= part < channels:
        raise ValueError(f'ViTMoE: an expert of {part:g} of {channels} channels is impossible; part_features, or '
                         f'alpha * {channels}, must be an integer in [0, {channels}).')
    return round(part)

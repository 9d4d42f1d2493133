"""Experts: a linear layer of which a part is computed for each group of images by its own weights (MoE-MDF of S5).

Shapes: B images, N tokens of an image, D input channels, C output channels, P of them by experts.
"""
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from mmengine.model import ModuleDict
from torch import Tensor, nn

from s5_mm.registry import MODELS
from s5_mm.routing import Route


class Router(Protocol):
    """Decides which experts serve which images of a batch.

    A router that learns is an ``nn.Module``; the encoder that owns it registers it.
    """

    def __call__(self, images: Tensor, route: Route | None) -> Route:
        """The groups of a batch.

        Args:
            images: (B, bands, H, W), grouped by dataset where ``route`` says so.
            route: The datasets of the images; ``None`` if they are unknown.

        Returns:
            Groups of images, named by experts, in the order of the batch.

        Raises:
            ValueError: The images cannot be routed.
        """

    def losses(self) -> dict[str, Tensor]:
        """Auxiliary losses of the last batch, e.g. of balance; empty if there are none."""


@MODELS.register_module()
class DatasetRouter:
    """Sends every image to the expert of its dataset, as S5 does.

    Args:
        names: Names of the datasets.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def __call__(self, images: Tensor, route: Route | None) -> Route:
        """The route itself; the only dataset needs none. See :class:`Router`."""
        if route is None and len(self.names) == 1:
            return Route(self.names, (len(images), ), None)
        unknown = ['none'] if route is None else [name for name in route.names if name not in self.names]
        if unknown:
            raise ValueError(f'The route names dataset {unknown[0]}, the encoder has experts of {list(self.names)}; '
                             'give a Route of those.')
        return route

    def losses(self) -> dict[str, Tensor]:
        """None."""
        return {}


class CurrentRoute:
    """The route that the layers of one encoder use now."""

    def __init__(self) -> None:
        self.route: Route | None = None

    def bind(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """A function that runs under the route of now, whenever it is called: activation checkpointing calls it again
        in the backward pass. A compiled graph has its route already.
        """
        if torch.compiler.is_compiling():
            return function
        route = self.route

        def bound(*args: object) -> Tensor:
            self.route = route
            return function(*args)
        return bound


@dataclasses.dataclass(kw_only=True)
class Experts:
    """How an encoder divides its second linear layers. Give the size of an expert by one of two ways.

    Attributes:
        names: Names of the experts, i.e. of the datasets.
        part_features: P, channels of an expert, below C of every layer.
        share: P / C, in (0, 1), for encoders of several widths; ``share * C`` must be an integer.
        order: Names of the numbered experts of published files (``experts.0``, ``experts.1``, ...), read by adapters.
        router: A :class:`Router` or its config; default :class:`DatasetRouter`.

    Raises:
        ValueError: A name is impossible, or not exactly one size is given.
    """

    names: Sequence[str]
    part_features: int | None = None
    share: float | None = None
    order: Sequence[str] | None = None
    router: Router | dict | None = None

    def __post_init__(self) -> None:
        self.names = check_names(self.names)
        if (self.part_features is None) == (self.share is None):
            raise ValueError(f'experts: part_features is {self.part_features} and share {self.share}; give one of '
                             'them, e.g. experts=dict(part_features=256), or experts=None for none.')
        if self.router is None:
            self.router = DatasetRouter(self.names)
        elif isinstance(self.router, dict):
            self.router = MODELS.build(self.router, default_args=dict(names=self.names))
        self.current = CurrentRoute()

    def second_linear(self, in_features: int, out_features: int) -> 'ExpertLinear':
        """A layer with experts in the place of ``nn.Linear(in_features, out_features)``."""
        return ExpertLinear(in_features, out_features, self.part_of(out_features), self.names, self.current)

    def part_of(self, channels: int) -> int:
        """P of a layer with ``channels`` outputs.

        Raises:
            ValueError: It is no integer in [1, channels).
        """
        part = self.share * channels if self.part_features is None else self.part_features
        if not math.isclose(part, round(part), abs_tol=1e-6) or not 1 <= round(part) < channels:
            raise ValueError(f'experts: an expert of {part:g} of {channels} channels is impossible; part_features, or '
                             f'share * {channels}, must be an integer in [1, {channels}).')
        return round(part)


class ExpertLinear(nn.Linear):
    """A linear layer whose last P of C output channels are computed by the expert of each image's group.

    ``weight`` and ``bias`` are the shared part, C - P rows; ``experts.NAME`` has the other P. A dense layer of the same
    function has the rows of both.

    Args:
        in_features: D.
        out_features: C.
        part: P, in [1, C).
        names: Names of the experts.
        current: Holds the route of the batch.
    """

    def __init__(self, in_features: int, out_features: int, part: int, names: Sequence[str],
                 current: CurrentRoute) -> None:
        super().__init__(in_features, out_features - part)
        self.experts = ModuleDict({name: nn.Linear(in_features, part) for name in names})
        self.current = current

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens; the shared part sees the whole batch at once.

        Args:
            x: (B k, ..., D), images in the order of the route's groups; an image may be k entries in a row, e.g. its
                windows.

        Returns:
            (B k, ..., C).
        """
        route = self.current.route
        entries = len(x) // sum(route.sizes)
        groups = x.split([size * entries for size in route.sizes])
        own = [self.experts[name](group) for name, group in zip(route.names, groups, strict=True)]
        return torch.cat([super().forward(x), torch.cat(own)], dim=-1)


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Check names of datasets, which become keys of modules.

    Raises:
        ValueError: There is none, or one cannot be such a key.
    """
    names = tuple(names)
    bad = [name for name in names
           if not (isinstance(name, str) and name) or '.' in name or hasattr(ModuleDict(), name)]
    if bad or not names or len(set(names)) < len(names):
        wrong = f'{bad[0]!r} is impossible: ' if bad else ''
        raise ValueError(f'Datasets are named {list(names)}: {wrong}at least one is needed, each name once, without '
                         "dots, and not an attribute of torch modules such as 'keys'; rename it.")
    return names

"""How far a file's weights are those of a model."""
import re
from collections.abc import Container
from typing import NamedTuple

from prettytable import PrettyTable
from torch import Tensor


class Fit(NamedTuple):
    """Weights compared with the parameters of a model.

    Attributes:
        loaded: Those that fit; a position table of another size fits, since it is resized while it is loaded.
        unfit: Names of those that have another shape.
        share: Of the parameters (in numbers) that such a file should hold, those that fit, in [0, 1].
        table: Tensors and numbers that are loaded, resized, split into experts, left at initialization and ignored, for
            the log.
    """

    loaded: dict[str, Tensor]
    unfit: set[str]
    share: float
    table: str


def compare(own: dict[str, Tensor],
            weights: dict[str, Tensor],
            lacks: str | None = None,
            split: Container[str] = ()) -> Fit:
    """Compare weights with a model's parameters by name and shape.

    Args:
        own: The model's parameters.
        weights: The file's, under the model's names.
        lacks: Pattern of parameters that such a file never holds.
        split: Names of weights that were a dense layer's in the file.
    """
    unfit = {name for name in own if name in weights and not name.endswith('pos_embed')
             and weights[name].shape != own[name].shape}
    loaded = {name: value for name, value in weights.items() if name in own and name not in unfit}
    held = [name for name in own if name in weights or not (lacks and re.match(lacks, name))]
    share = _count(own, [name for name in held if name in loaded]) / _count(own, held)
    return Fit(loaded, unfit, share, _report(own, loaded, weights, unfit, split))


def _count(parameters: dict[str, Tensor], names: list[str]) -> int:
    return sum(parameters[name].numel() for name in names)


def _report(own: dict[str, Tensor], loaded: dict[str, Tensor], weights: dict[str, Tensor], unfit: set[str],
            split: Container[str]) -> str:
    resized = [name for name in loaded if loaded[name].shape != own[name].shape]
    missing = [name for name in own if name not in loaded]
    ignored = [name for name in weights if name not in own]
    as_they_are = [name for name in loaded if name not in resized and name not in split]
    table = PrettyTable(['what', 'tensors', 'parameters', 'for example'])
    for what, names, source in (('loaded', as_they_are, own), ('resized', resized, own),
                                ('split into experts', [name for name in loaded if name in split], own),
                                ('left at initialization', missing, own), ('of another shape', sorted(unfit), own),
                                ('ignored', ignored, weights)):
        table.add_row([what, len(names), _count(source, names), ', '.join(names[:2])])
    return table.get_string()

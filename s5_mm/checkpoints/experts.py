"""Weights of experts in state dicts, whatever encoder they belong to.

A second linear layer ``NAME`` of C rows with experts (:class:`s5_mm.models.layers.ExpertLinear`) is stored as
``NAME.{weight,bias}``, the shared C - P rows, and ``NAME.experts.DATASET.{weight,bias}``, the other P.
"""
import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

EXPERT = re.compile(r'^(.+)\.experts\.([^.]+)\.(weight|bias)$')


def experts_in(names: Iterable[str]) -> list[str]:
    """Datasets (or numbers) of the experts among parameter names, in their order."""
    found = (EXPERT.match(name) for name in names)
    return list(dict.fromkeys(match[2] for match in found if match))


def merge_experts(weights: Mapping[str, Tensor], dataset: str) -> dict[str, Tensor]:
    """Put the shared part and one dataset's expert together to dense layers.

    Args:
        weights: With experts or without.
        dataset: Whose expert.

    Raises:
        ValueError: There are experts and none of this dataset.
    """
    found = experts_in(weights)
    if found and dataset not in found:
        raise ValueError(f'There is no expert of dataset {dataset!r}; the encoder has {found}.')
    merged = {name: value for name, value in weights.items() if not EXPERT.match(name)}
    for name, value in weights.items():
        match = EXPERT.match(name)
        if match and match[2] == dataset:
            layer = f'{match[1]}.{match[3]}'
            merged[layer] = torch.cat([merged[layer], value])
    return merged


def rename_experts(weights: Mapping[str, Tensor], rename: Callable[[str], str]) -> dict[str, Tensor]:
    """Rename the datasets of experts; ``rename`` maps old to new names."""
    return {EXPERT.sub(lambda match: f'{match[1]}.experts.{rename(match[2])}.{match[3]}', name): value
            for name, value in weights.items()}

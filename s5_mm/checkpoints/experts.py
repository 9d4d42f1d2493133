"""Weights of experts: from dense ones, from published ones, and back.

Names are those inside an encoder, without prefix. The second linear layer of a dense FFN is ``layers.I.ffn.layers.1``
with C rows; with experts the same name is the shared expert's, with C - P rows, and ``layers.I.ffn.experts.NAME`` has
the other P rows for dataset NAME.
"""
import re
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

SECOND = re.compile(r'^(layers\.\d+\.ffn\.)layers\.1\.(weight|bias)$')
EXPERT = re.compile(r'^(layers\.\d+\.ffn\.)experts\.([^.]+)\.(weight|bias)$')


def experts_in(names: Iterable[str]) -> list[str]:
    """Datasets (or numbers) of the experts among parameter names, in their order."""
    found = (EXPERT.match(name) for name in names)
    return list(dict.fromkeys(match[2] for match in found if match))


def split_dense(weights: dict[str, Tensor], channels: int, part: int, datasets: Sequence[str]) -> dict[str, Tensor]:
    """Make experts from dense weights; others are returned as they are.

    Args:
        weights: An encoder's.
        channels: C, the rows of a dense layer.
        part: P, the last rows, which every dataset's expert gets.
        datasets: Datasets that get one.
    """
    if not part or experts_in(weights):
        return weights
    split = {}
    for name, value in weights.items():
        match = SECOND.match(name)
        if match is None or len(value) != channels:
            split[name] = value
            continue
        split[name] = value[:channels - part]
        split.update({f'{match[1]}experts.{dataset}.{match[2]}': value[channels - part:] for dataset in datasets})
    return split


def merge_experts(weights: dict[str, Tensor], dataset: str) -> dict[str, Tensor]:
    """Put the shared and one dataset's expert together to a dense FFN's second layer.

    Args:
        weights: An encoder's, with experts or without.
        dataset: Whose expert.

    Raises:
        ValueError: There are experts and none of this dataset.
    """
    found = experts_in(weights)
    if found and dataset not in found:
        raise ValueError(f'There is no expert of dataset {dataset!r}; the encoder has {found}.')
    merged = {name: value for name, value in weights.items() if not EXPERT.match(name)}
    for name in filter(SECOND.match, merged if found else ()):
        block, kind = SECOND.match(name).groups()
        merged[name] = torch.cat([merged[name], weights[f'{block}experts.{dataset}.{kind}']])
    return merged


def rename_experts(weights: dict[str, Tensor], rename: Callable[[str], str]) -> dict[str, Tensor]:
    """Rename the datasets of experts; ``rename`` maps old to new names."""
    return {EXPERT.sub(lambda match: f'{match[1]}experts.{rename(match[2])}.{match[3]}', name): value
            for name, value in weights.items()}

"""Parts of state dicts: what stands below a prefix, and the two networks of a semi-supervised checkpoint."""
from collections.abc import Mapping

from torch import Tensor

Weights = dict[str, Tensor]
ENCODER = 'backbone.'
# Where a semi-supervised checkpoint has its networks.
PARTS = {'teacher': 'teacher.module.', 'student': 'segmentor.'}


def part_of(weights: Mapping[str, Tensor], prefix: str) -> Weights:
    """Weights whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def root_of(prefix: str) -> str:
    """What stands before the names of a whole model whose encoder has ``prefix``; the same for an encoder alone."""
    return next((prefix.removesuffix(end) for end in (ENCODER, 'encoder.') if prefix.endswith(end)), prefix)


def unwrap(weights: Weights) -> Weights:
    """Weights without the ``module.`` that wrappers of models put before all names."""
    while weights and all(name.startswith('module.') for name in weights):
        weights = part_of(weights, 'module.')
    return weights


def select_part(weights: Weights, part: str, source: str) -> tuple[str, Weights]:
    """Take one network out of a semi-supervised checkpoint; any other file is its own student.

    Args:
        weights: The file's.
        part: ``'teacher'``, ``'student'``, or ``'auto'``: the one that is evaluated, i.e. the teacher once it was
            updated.
        source: What messages call the file.

    Returns:
        Which part it is, and its weights without prefix.

    Raises:
        ValueError: The part is unknown, or a teacher is wanted that was never updated.
    """
    if part not in ('auto', *PARTS):
        raise ValueError(f'part is {part!r}; choose one of auto, {", ".join(PARTS)}.')
    # A teacher that was never updated still holds the initial weights.
    updated = int(weights.get('teacher.steps', 0)) > 0
    part = part if part != 'auto' else 'teacher' if updated else 'student'
    if part == 'teacher' and not updated:
        raise ValueError(f'{source} holds no teacher that was updated; take the trained network with part student.')
    return part, part_of(weights, PARTS[part]) or weights

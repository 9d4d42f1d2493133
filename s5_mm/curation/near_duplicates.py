"""Near-duplicates: images that show the same as a better one."""
from collections.abc import Iterable

import numpy as np

BLOCK = 4096


def near_duplicates(blocks: Iterable[tuple[np.ndarray, np.ndarray]], threshold: float, limit: int) -> np.ndarray:
    """Go through images in order and find those whose cosine with one that was kept before is above a threshold.

    Stops after ``limit`` kept images, so the work is that many comparisons an image, not the square of a cluster. What
    is found does not depend on the limit, only how far the search goes.

    Args:
        blocks: Ids (n,) and features (n, C), any lengths, best images first.
        threshold: Cosine, above 0 and up to 1.
        limit: Number of images to keep at least.

    Returns:
        Ids of the near-duplicates, in order.
    """
    kept: list[np.ndarray] = []
    duplicates: list[np.ndarray] = [np.zeros(0, dtype=object)]
    number = 0
    for ids, features in blocks:
        for start in range(0, len(ids), BLOCK):
            if number >= limit:
                return np.concatenate(duplicates)
            unit = _unit(features[start:start + BLOCK])
            new = _differing(unit, kept, threshold)
            duplicates.append(ids[start:start + BLOCK][~new])
            kept.append(unit[new])
            number += int(new.sum())
    return np.concatenate(duplicates)


def _unit(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _differing(unit: np.ndarray, kept: list[np.ndarray], threshold: float) -> np.ndarray:
    """(n,), bool: which of unit features (n, C) are near-duplicates of none kept before, in the block included."""
    new = np.ones(len(unit), dtype=bool)
    for block in kept:
        new &= (unit @ block.T).max(axis=1, initial=-1) <= threshold
    similar = unit @ unit.T > threshold
    for i in np.flatnonzero(new):
        if new[i]:
            new[i + 1:] &= ~similar[i, i + 1:]
    return new

"""Near-duplicates by hand, and what may not change them."""
import numpy as np
import pytest

from s5_mm.curation import near_duplicates as module
from s5_mm.curation.near_duplicates import near_duplicates


def blocks(angles, size=100):
    """Ids 'a', 'b', ... and features of varied length in the directions of angles in degrees."""
    ids = np.array(list('abcdefghijkl')[:len(angles)], dtype=object)
    turned = np.deg2rad(angles)
    features = np.stack([np.cos(turned), np.sin(turned)], axis=1) * np.arange(1, len(angles) + 1)[:, None]
    return [(ids[i:i + size], features[i:i + size]) for i in range(0, len(ids), size)]


@pytest.mark.parametrize('size', [1, 2, 100])
@pytest.mark.parametrize('block', [1, 3, 4096])
def test_the_later_of_two_alike_goes_and_only_kept_ones_count(size, block, monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', block)
    # Threshold 10 degrees. b is near a; c is near b, which is gone, so it stays; e is near c.
    found = near_duplicates(blocks([0, 8, 16, 40, 20], size), np.cos(np.deg2rad(10)), limit=10)
    assert found.tolist() == ['b', 'e']


def test_the_search_ends_with_the_limit(monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', 2)
    assert near_duplicates(blocks([0, 1, 40, 41, 80, 81]), 0.99, limit=2).tolist() == ['b', 'd']
    assert near_duplicates([], 0.99, limit=2).tolist() == []

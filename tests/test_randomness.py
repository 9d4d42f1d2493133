"""Random numbers that depend on what they are for and on nothing else."""
import random

import numpy as np
import pytest
import torch

from s5_mm.randomness import derive_seed, seed_generators, seeded


def draw():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_derived_seeds_are_repeatable_and_differ():
    purposes = [(), (0, ), (1, ), ('order', 1), ('order', 'a', 1), (1, 'order')]
    keys = [(seed, *purpose) for seed in range(3) for purpose in purposes]
    seeds = [derive_seed(*key) for key in keys]
    assert seeds == [derive_seed(*key) for key in keys]
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert derive_seed(0, 'labeled', 1) != derive_seed(0, 'unlabeled', 1)
    assert derive_seed(0, 1, 2) != derive_seed(0, 2, 1)
    assert len({derive_seed(0, 'augmentation', 'labeled', i) for i in range(5000)}) > 4990


def test_neighboring_draws_are_not_correlated():
    first = [np.random.RandomState(derive_seed(0, 'augmentation', 'labeled', i)).rand() for i in range(2000)]
    assert abs(np.mean(first) - 0.5) < 0.03
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.08


def test_negative_seed_is_refused():
    with pytest.raises(ValueError):
        derive_seed(-1, 'order')


def test_seed_generators_seeds_all_three():
    seed_generators(5)
    first = draw()
    seed_generators(5)
    assert draw() == first
    seed_generators(6)
    assert not set(draw()) & set(first)


def test_seeded_block_is_repeatable_and_leaves_no_trace():
    seed_generators(1)
    draw()
    expected = draw()
    seed_generators(1)
    draw()
    with seeded(7):
        inside = draw()
    assert draw() == expected
    with seeded(7):
        assert draw() == inside


def test_seeded_gives_states_back_after_an_error():
    seed_generators(1)
    expected = draw()
    seed_generators(1)
    with pytest.raises(ZeroDivisionError), seeded(7):
        draw()[0] / 0
    assert draw() == expected

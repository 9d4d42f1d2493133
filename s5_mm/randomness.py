"""Random numbers as a function of (seed, what they are for), so that training resumes exactly.

No state of a generator is carried along: a sample's augmentation depends on its draw number and a training step's on
its iteration. Whatever happened before (validation, a restart, another number of loader workers) has no influence.
"""
import contextlib
import random
import zlib
from collections.abc import Iterator

import numpy as np
import torch


def derive_seed(seed: int, *keys: int | str) -> int:
    """Mix a seed with keys into a new one.

    Args:
        seed: The run's seed, at least 0.
        keys: What the random numbers are for, e.g. ``('unlabeled', 17)``; integers are at least 0.

    Returns:
        An integer in [0, 2**32), well mixed also for neighboring keys.
    """
    words = [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1)[0])


def seed_generators(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators (torch: the CPU's and every device's).

    Args:
        seed: In [0, 2**32).
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block with seeded CPU generators and give the surrounding code its own random states back.

    Args:
        seed: In [0, 2**32).
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])

"""Number of images that each cluster may give (S5, arXiv 2508.12409, Eq. 3)."""
import numpy as np

ON_SHORTFALL = ('skip', 'redistribute')


def quotas(counts: np.ndarray, budget: int) -> np.ndarray:
    """Divide a budget among clusters in proportion to their labeled samples, B_u * N_m / B_l.

    Rounded by the method of the largest remainder, in integers: the quotas sum to exactly the budget, ties go to the
    lower cluster.

    Args:
        counts: (M,), integers, N_m: labeled samples of each cluster, at least 0.
        budget: B_u: images to select in all, at least 0.

    Returns:
        (M,), int64.

    Raises:
        ValueError: A negative number, or no labeled sample at all.
    """
    # Python's integers, since the product may pass 2**63.
    counts = [int(count) for count in np.asarray(counts).ravel()]
    total = sum(counts)
    if budget < 0 or min(counts, default=0) < 0:
        raise ValueError(f'budget is {budget} and counts are {counts}; neither may be negative')
    if total == 0:
        raise ValueError(f'the {len(counts)} clusters have no labeled sample, so there is no proportion to divide the '
                         'budget by')
    shares = [divmod(budget * count, total) for count in counts]
    result = np.array([whole for whole, _ in shares], dtype=np.int64)
    by_remainder = sorted(range(len(counts)), key=lambda m: (-shares[m][1], m))
    result[by_remainder[:budget - int(result.sum())]] += 1
    return result


def fill(counts: np.ndarray, available: np.ndarray, budget: int, on_shortfall: str = 'skip') -> np.ndarray:
    """Number of images that are taken from each cluster, given the number that it has.

    Args:
        counts: (M,), labeled samples of each cluster.
        available: (M,), unlabeled images of each cluster.
        budget: Images to select in all.
        on_shortfall: Treatment of a quota that its cluster cannot fill. ``'skip'``: nothing, fewer images are
            selected (paper). ``'redistribute'``: the rest is divided by the same rule among the clusters that have
            more, until the budget or these clusters are exhausted; clusters without labeled samples get nothing.

    Returns:
        (M,), int64, at most ``available``, summing to at most ``budget``.

    Raises:
        ValueError: ``on_shortfall`` is unknown, lengths differ, or see :func:`quotas`.
    """
    counts, available = np.asarray(counts, dtype=np.int64), np.asarray(available, dtype=np.int64)
    if on_shortfall not in ON_SHORTFALL:
        raise ValueError(f'on_shortfall is {on_shortfall!r}; choose from {list(ON_SHORTFALL)}')
    if counts.shape != available.shape:
        raise ValueError(f'counts has {len(counts)} clusters, available {len(available)}; both need one number a '
                         'cluster')
    taken = np.minimum(quotas(counts, budget), available)
    while on_shortfall == 'redistribute':
        open_counts = np.where(taken < available, counts, 0)
        rest = budget - int(taken.sum())
        if not rest or not open_counts.any():
            break
        taken = np.minimum(taken + quotas(open_counts, rest), available)
    return taken

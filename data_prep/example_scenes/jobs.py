"""The two outputs as lists of independent jobs, and the pool of processes that runs them."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_prep.workers import each

from .degrade import DEGRADATIONS
from .files import write_bytes, write_image
from .off_domain import OFF_DOMAIN
from .sampling import Sample, Source
from .writers import Format

POOL_FOLDERS = 4
POOL_COLUMNS = ('path', 'kind', 'style', 'detail')


def work_off(work: Callable[[object], None], jobs: Sequence, workers: int, title: str) -> None:
    """Runs ``work(job)`` for all jobs with a progress bar, in this process or in ``workers`` processes."""
    # A fresh interpreter per worker: forking a process in which OpenCV or torch runs threads may hang.
    done = each(work, jobs, workers, start_method='spawn')
    for _ in tqdm(done, total=len(jobs), desc=title, unit='img', mininterval=0.5):
        pass


def make_labeled(layout: Format, folder: Path, counts: dict[str, int], sources: dict[str, Source], workers: int) -> int:
    """Writes the samples of a benchmark's format that are missing, then its lists.

    Args:
        layout: The format.
        folder: Root of the dataset.
        counts: Number of images of each split.
        sources: Source of the pictures of each split.
        workers: Number of processes.

    Returns:
        Number of images that were written.
    """
    samples = [sources[split].sample(number) for split, count in counts.items() for number in range(count)]
    jobs = [sample for sample in samples if not layout.image_path(folder, sample).exists()]
    work_off(partial(_labeled_job, layout, folder, sources), jobs, workers, layout.title)
    if layout.write_lists:
        layout.write_lists(folder, samples)
    return len(jobs)


def _labeled_job(layout: Format, folder: Path, sources: dict[str, Source], sample: Sample) -> None:
    layout.write(sources[sample.split].picture(sample.number), folder, sample)


@dataclass(frozen=True)
class PoolImage:
    """One row of ``pool.csv``: ``kind`` is clean, degraded or off_domain, ``detail`` is the kind of degradation."""

    number: int
    path: str
    kind: str
    style: str
    detail: str


def plan_pool(source: Source, count: int, degraded: float, off_domain: float) -> list[PoolImage]:
    """Chooses the kind of every image of the pool; shares are exact up to rounding.

    Raises:
        ValueError: If a share is outside [0, 1] or both together exceed 1.
    """
    if not (0 <= degraded <= 1 and 0 <= off_domain <= 1 and degraded + off_domain <= 1):
        raise ValueError(
            f'the shares degraded={degraded} and off-domain={off_domain} must lie in [0, 1] and add up to at most 1'
        )
    bad, foreign = round(count * degraded), round(count * off_domain)
    bad = min(bad, count - foreign)
    kinds = np.array(['degraded'] * bad + ['off_domain'] * foreign + ['clean'] * (count - bad - foreign))
    kinds = source.rng(0, 4).permutation(kinds)
    plan, dealt = [], Counter()
    for number, kind in enumerate(kinds.tolist()):
        style = '' if kind == 'off_domain' else source.style_name(number)
        choices = {'clean': ('',), 'degraded': tuple(DEGRADATIONS), 'off_domain': tuple(OFF_DOMAIN)}[kind]
        detail = choices[source.turn(dealt[kind], len(choices), 5)]
        dealt[kind] += 1
        plan.append(PoolImage(number, f'area_{number % POOL_FOLDERS}/{number:07d}.jpg', kind, style, detail))
    return plan


def make_pool(folder: Path, plan: list[PoolImage], source: Source, workers: int) -> int:
    """Writes the images of a pool that are missing, and its table; returns the number of images that were written."""
    jobs = [entry for entry in plan if not (folder / entry.path).exists()]
    work_off(partial(_pool_job, folder, source), jobs, workers, 'unlabeled')
    table = io.StringIO()
    rows = csv.writer(table, lineterminator='\n')
    rows.writerow(POOL_COLUMNS)
    rows.writerows([getattr(entry, column) for column in POOL_COLUMNS] for entry in plan)
    write_bytes(folder / 'pool.csv', table.getvalue().encode())
    return len(jobs)


def _pool_job(folder: Path, source: Source, entry: PoolImage) -> None:
    rng = source.rng(entry.number, 6)
    if entry.kind == 'off_domain':
        image = OFF_DOMAIN[entry.detail](rng, source.size)
    else:
        image = source.picture(entry.number).image
    if entry.kind == 'degraded':
        image = DEGRADATIONS[entry.detail](rng, image)
    write_image(folder / entry.path, image, jpeg_quality=int(rng.integers(60, 97)))

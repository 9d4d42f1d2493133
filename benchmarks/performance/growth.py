"""How time and memory of a step grow with its size."""
import dataclasses
import gc
from collections.abc import Callable, Iterator
from typing import Any

from .measuring import Case, Settings, compare
from .training import mdf_step, s4p_step

# One of these grows, the others stay at the first. ours_alone: sides too large for the baseline in the memory of
# a common machine.
GROWTH = dict(
    cpu=dict(sides=(256, 512), ours_alone=(1024, ), batches=(1, 2, 4), datasets=(1, 2, 4, 8), archs=('base', 'large')),
    cuda=dict(sides=(256, 512, 1024), batches=(2, 4, 8, 16), datasets=(1, 2, 4, 8), archs=('base', 'large', 'huge')),
    tiny=dict(sides=(64, 96), batches=(2, ), datasets=(1, 2), archs=('tiny', )))
KEYS = ('ratio', 'memory_ratio', 'ours_s', 'baseline_s', 'ours_peak_mb', 'baseline_peak_mb', 'ours_system_s',
        'baseline_system_s', 'setting')


def measure_growth(settings: Settings, size: str, most: float) -> Iterator[dict[str, Any]]:
    """A row of figures for each size, of one timed step each way.

    Args:
        settings: Device and precision.
        size: A key of :data:`GROWTH`.
        most: As :func:`compare` takes it.
    """
    for what, value, build in points(settings, GROWTH[size]):
        figures = compare(build(), settings.device, rounds=1, seconds=0, most=most)
        yield dict(grown=what, value=value) | {key: figures[key] for key in KEYS if key in figures}
        gc.collect()


def points(settings: Settings, told: dict[str, tuple]) -> Iterator[tuple[str, object, Callable[[], Case]]]:
    """What grows, to which value, and the case."""
    first = {key: values[0] for key, values in told.items()}

    def s4p(side: int, batch: int, arch: str) -> Callable[[], Case]:
        grown = dataclasses.replace(settings, arch=arch, sides=dict(s4p_step=side), batches=dict(s4p_step=batch))
        return lambda: s4p_step(grown)
    for side in told['sides']:
        yield 's4p side', side, s4p(side, first['batches'], first['archs'])
    for batch in told['batches'][1:]:
        yield 's4p batch', batch, s4p(first['sides'], batch, first['archs'])
    for arch in told['archs'][1:]:
        yield 's4p arch', arch, s4p(first['sides'], first['batches'], arch)
    each = max(2, first['batches'])
    mdf = dataclasses.replace(
        settings, arch=first['archs'], sides=dict(mdf_step=first['sides']), batches=dict(mdf_step=each))
    for number in told['datasets']:
        yield 'mdf datasets', number, lambda number=number: mdf_step(mdf, datasets=number)
    for side in told.get('ours_alone', ()):
        yield 's4p side', side, without_baseline(s4p(side, first['batches'], first['archs']))


def without_baseline(build: Callable[[], Case]) -> Callable[[], Case]:
    """The case with our way alone."""
    def ours() -> Case:
        case = build()
        return dataclasses.replace(case, ways=dict(ours=case.ways['ours']), holds=dict(ours=case.holds['ours']))
    return ours

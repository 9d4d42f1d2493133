"""Time, memory and arithmetic of two ways to do the same, in turns in one process."""
import contextlib
import ctypes
import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

STATUS, PEAK_RESET = Path('/proc/self/status'), Path('/proc/self/clear_refs')
# Sides of the matrices whose product is taken as the most that the machine can do.
MATRIX = dict(cpu=3072, cuda=8192)
# torch's counter knows the attention of GPUs alone.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
        lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward:
        lambda grad, query, key, value, *_, **__: sdpa_backward_flop_count(grad, query, key, value),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where and how large.

    Attributes:
        device: ``'cpu'`` or ``'cuda'``.
        arch: Of the encoder, a name of :data:`s5_mm.models.backbones.vit.ARCHS`.
        precision: Of training, ``'fp32'`` or ``'bf16'`` (autocast).
        sides: Case -> side of its images in pixels.
        batches: Case -> images of each source or dataset.
    """

    device: str
    arch: str
    precision: str
    sides: dict[str, int]
    batches: dict[str, int]

    def autocast(self) -> contextlib.AbstractContextManager:
        """The context that training runs in."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == 'bf16')

    def told(self, case: str) -> dict[str, object]:
        """What a result says about its setting."""
        return dict(device=self.device, arch=self.arch, precision=self.precision, side=self.sides[case],
                    batch=self.batches[case])


@dataclasses.dataclass(frozen=True)
class Case:
    """Two or more ways to do the same.

    Attributes:
        ways: ``ours``, ``baseline`` and perhaps others -> a function that does it once. Without a baseline there is
            no ratio.
        setting: What the result says about it.
        holds: Way -> what it holds between two runs (module, optimizer), whose size is a part of its memory.
        images: Images that one run handles.
        facts: More that the result says.
    """

    ways: dict[str, Callable[[], object]]
    setting: dict[str, object]
    holds: dict[str, Iterable[object]] = dataclasses.field(default_factory=dict)
    images: int = 1
    facts: dict[str, object] = dataclasses.field(default_factory=dict)


def compare(case: Case, device: str, rounds: int, seconds: float, most: float) -> dict[str, object]:
    """Measure a case.

    One run of each way warms up; its multiply-adds are counted and its memory is watched meanwhile. Then the ways take
    turns, in the other order every other round; the ratio is the median over the rounds.

    Args:
        case: What to measure.
        device: ``'cpu'`` or ``'cuda'``.
        rounds: Timed runs of each way.
        seconds: After this time no further round starts, but two are run, or ``rounds`` if that is one.
        most: Multiply-adds a second that the machine can do, see :func:`ceiling`.

    Returns:
        Medians of seconds (``ours_s``, ``baseline_s``, ...), ``ratio`` (baseline / ours), ``memory_ratio`` (ours /
        baseline), peak memory, multiply-adds, share of the ceiling, on a CPU the processor seconds that the system took
        for itself, to give memory and take it back mostly (``ours_system_s``, ...), setting and facts.
    """
    counts, peaks = {}, {}
    for way, run in case.ways.items():
        with peak_bytes(case.holds.get(way, ()), device) as peak, multiply_adds() as counter:
            run()
        counts[way], peaks[way] = counter.get_total_flops() // 2, peak[0]
    spent, system = ({way: [] for way in case.ways} for _ in range(2))
    start = time.perf_counter()
    while len(spent['ours']) < rounds and (len(spent['ours']) < 2 or time.perf_counter() - start < seconds):
        for way, run in list(case.ways.items())[::-1 if len(spent['ours']) % 2 else 1]:
            before = os.times().system
            spent[way].append(timed(run, device))
            system[way].append(os.times().system - before)
    of_system = {f'{way}_system_s': round(statistics.median(times), 2) for way, times in system.items()}
    return summary(case, spent, counts, peaks, most) | (of_system if device == 'cpu' else {})


def summary(case: Case, spent: dict[str, list[float]], counts: dict[str, int], peaks: dict[str, int],
            most: float) -> dict[str, object]:
    """The figures of :func:`compare` from seconds of each round, multiply-adds and peak bytes."""
    result = {}
    if 'baseline' in spent:
        ratios = [baseline / ours for ours, baseline in zip(spent['ours'], spent['baseline'], strict=True)]
        result['ratio'] = round(statistics.median(ratios), 3)
    if 'baseline' in spent and case.holds:
        result['memory_ratio'] = round(peaks['ours'] / peaks['baseline'], 3)
    for way, times in spent.items():
        median = statistics.median(times)
        result[f'{way}_s'] = round(median, 4)
        if case.holds:
            result[f'{way}_peak_mb'] = round(peaks[way] / 2**20)
            result[f'{way}_multiply_adds_g'] = round(counts[way] / 1e9, 1)
            result[f'{way}_share_of_ceiling'] = round(counts[way] / median / most, 3)
    return result | dict(rounds=len(spent['ours']), images=case.images, **case.facts, setting=case.setting)


def timed(run: Callable[[], object], device: str) -> float:
    """Seconds."""
    synchronize(device)
    start = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - start


@contextlib.contextmanager
def multiply_adds() -> Iterator[FlopCounterMode]:
    """Count operations, two a multiply-add, in convolutions and matrix products, recomputed ones included."""
    # The fused attention of inference is one operator that the counter cannot look into.
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@contextlib.contextmanager
def peak_bytes(held: Iterable[object], device: str) -> Iterator[list[int]]:
    """The largest memory while the block runs: what is held all the time, and what the block takes on top.

    On a GPU as torch's allocator counts it. On a CPU the resident memory of the process, whose high-water mark Linux
    resets on request; what was freed before is given back to the system first.

    Args:
        held: Modules and optimizers.
        device: ``'cpu'`` or ``'cuda'``.

    Yields:
        A list that holds the number of bytes after the block.
    """
    peak, own = [], sum(map(_bytes_of, held))
    if device == 'cpu':
        ctypes.CDLL(None).malloc_trim(0)
        PEAK_RESET.write_text('5')
        before = _status('VmRSS')
        yield peak
        peak.append(own + _status('VmHWM') - before)
    else:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield peak
        peak.append(own + torch.cuda.max_memory_allocated() - before)


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _bytes_of(held: nn.Module | torch.optim.Optimizer) -> int:
    if isinstance(held, nn.Module):
        tensors = [*held.parameters(), *held.buffers()]
    else:
        tensors = [value for state in held.state.values() for value in state.values() if isinstance(value, Tensor)]
    return sum(tensor.nbytes for tensor in tensors)


def ceiling(device: str, precision: str, rounds: int = 5) -> float:
    """Multiply-adds a second in the product of two large matrices, the best of some rounds.

    As a linear layer computes it and as a 1 x 1 convolution does, since a CPU has a library for each.
    """
    side = MATRIX[device]
    dtype = torch.bfloat16 if precision == 'bf16' else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    product = torch.empty_like(a)
    image = a[None, :, None].permute(0, 3, 1, 2)
    ways = [lambda: torch.mm(a, b, out=product), lambda: torch.conv2d(image, b[:, :, None, None])]
    return side**3 / min(timed(way, device) for _ in range(rounds) for way in ways)


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device == 'cuda':
        torch.cuda.synchronize()

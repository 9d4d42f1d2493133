"""How long a training step on a CPU takes alone and beside one other busy process, for several spin counts of OpenMP.

Threads that wait for each other look again and again before they sleep (``GOMP_SPINCOUNT``). Many looks are of no use
where another process has the core that the other thread needs. The quickstart's supervised network trains on random
images, each setting in a process of its own; ratios are to GNU OpenMP's own setting alone. The goal for the one that
our commands choose (``s5_mm/threads.py``) is 1.05 alone and 2 beside the busy process. Run it where nothing else runs.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from prettytable import PrettyTable, TableStyle

from s5_mm.files import write_json
from s5_mm.threads import SPINS

OF_GNU = 300_000
CONFIG = 'configs/quickstart/supervised_vit-t_upernet_synthetic-96x96.py'
SIDE, BATCH = 96, 8


def main(argv: list[str] | None = None) -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--spins', type=int, nargs='*', default=[0, 200, 2000, 20000], metavar='N',
                        help=f'spin counts besides {OF_GNU} and ours, {SPINS} (default: 0 200 2000 20000)')
    parser.add_argument('--rounds', type=int, default=3, help='processes for each figure (default: %(default)s)')
    parser.add_argument('--steps', type=int, default=30, help='timed steps of a process (default: %(default)s)')
    parser.add_argument('--seconds', type=float, default=20,
                        help='after which a process begins no further step (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/busy.json'), help='JSON to write')
    parser.add_argument('--step', action='store_true', help=argparse.SUPPRESS)  # this process is one that is timed
    args = parser.parse_args(argv)
    if args.step:
        print(json.dumps(timed_steps(args.steps, args.seconds)))
        return
    result = dict(machine=f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores', date=str(date.today()),
                  chosen=SPINS, settings=measure(sorted({OF_GNU, SPINS, *args.spins}), args))
    write_json(args.out, result)
    print(table(result['settings']))


def measure(spins: list[int], args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians of seconds a step by spin count; the settings take turns."""
    seconds = {(count, busy): [] for count in spins for busy in (False, True)}
    for _ in range(args.rounds):
        for (count, busy), spent in seconds.items():
            with busy_process(busy):
                spent.append(run_steps(count, args))
    medians = {key: statistics.median(spent) for key, spent in seconds.items()}
    own = medians[OF_GNU, False]
    return {str(count): {
        'alone_s': round(medians[count, False], 4), 'alone_ratio': round(medians[count, False] / own, 3),
        'beside_s': round(medians[count, True], 4), 'beside_ratio': round(medians[count, True] / own, 3),
    } for count in spins}


@contextmanager
def busy_process(wanted: bool) -> Iterator[None]:
    """Another process that always has something to do, while the block runs."""
    if not wanted:
        yield
        return
    with subprocess.Popen([sys.executable, '-c', 'while True: pass']) as other:
        try:
            yield
        finally:
            other.kill()


def run_steps(spins: int, args: argparse.Namespace) -> float:
    """Median of seconds a step in a new process."""
    command = [sys.executable, '-W', 'ignore', __file__, '--step', '--steps', str(args.steps), '--seconds',
               str(args.seconds)]
    environment = {name: value for name, value in os.environ.items() if name != 'OMP_WAIT_POLICY'}
    done = subprocess.run(command, env=environment | {'GOMP_SPINCOUNT': str(spins)}, stdout=subprocess.PIPE,
                          check=True, text=True)
    return statistics.median(json.loads(done.stdout.splitlines()[-1]))


def timed_steps(steps: int, seconds: float) -> list[float]:
    """Seconds of each training step in this process, at least two."""
    # The processes that only start others do without torch.
    import torch
    from mmengine.config import Config
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import init_default_scope
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    from s5_mm.registry import MODELS

    init_default_scope('mmseg')
    torch.manual_seed(0)
    cfg = Config.fromfile(Path(__file__).parents[1] / CONFIG)
    cfg.model.init_cfg = None
    model = MODELS.build(cfg.model).train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(cfg.model.decode_head.num_classes,
                                                                     (1, SIDE, SIDE)))) for _ in range(BATCH)]
    data = dict(inputs=[torch.randint(256, (3, SIDE, SIDE), dtype=torch.uint8)] * BATCH, data_samples=samples)
    spent, start = [], time.perf_counter()
    while len(spent) <= max(steps, 2) and (len(spent) < 3 or time.perf_counter() - start < seconds):
        before = time.perf_counter()
        model.train_step(data, optimizer)
        spent.append(time.perf_counter() - before)
    return spent[1:]  # the first one warms up


def table(settings: dict[str, dict[str, float]]) -> PrettyTable:
    """The figures of each spin count."""
    columns = ('alone_s', 'alone_ratio', 'beside_s', 'beside_ratio')
    rows = PrettyTable(['spins', *columns])
    rows.set_style(TableStyle.MARKDOWN)
    for count, figures in settings.items():
        note = ' (ours)' if count == str(SPINS) else ' (GNU OpenMP)' if count == str(OF_GNU) else ''
        rows.add_row([count + note, *(figures[column] for column in columns)])
    return rows


if __name__ == '__main__':
    main()

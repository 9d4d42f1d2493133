"""Time and memory of our steps against the published way of doing the same (``published_style``), in one process.

Ours and the baseline take turns on the same random data; figures are medians. ``ratio`` is baseline / ours in time,
``memory_ratio`` ours / baseline in peak memory.
"""

import argparse
import gc
import os
import platform
from datetime import date
from pathlib import Path

import s5_mm  # noqa: F401  first: it chooses how threads wait and gives mmrotate operators

# isort: split
import performance
import torch
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings
from prettytable import PrettyTable, TableStyle

from s5_mm.files import write_json

# Case -> (side of the images in pixels, images of each source or dataset).
SIZES = dict(
    cpu=dict(s4p_step=(512, 1), mdf_step=(256, 2), det_backbone=(1024, 1), det_step=(512, 1),
             inference_merged=(512, 1), scoring=(512, 1), loader=(512, 1)),
    cuda=dict(s4p_step=(512, 12), mdf_step=(512, 12), det_backbone=(1024, 4), det_step=(1024, 2),
              inference_merged=(512, 16), scoring=(512, 32), loader=(512, 1)),
    tiny=dict(s4p_step=(64, 2), mdf_step=(64, 2), det_backbone=(64, 2), det_step=(128, 1), inference_merged=(64, 2),
              scoring=(64, 2), loader=(64, 1)))
SCOPES = dict(det_backbone='mmrotate', det_step='mmrotate')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu', help='(default: %(default)s)')
    parser.add_argument('--cases', nargs='*', choices=list(performance.CASES), default=list(performance.CASES),
                        help='what to measure (default: all)')
    parser.add_argument('--arch', choices=['base', 'large', 'huge'], default='base', help='(default: %(default)s)')
    parser.add_argument('--size', choices=list(SIZES), help='images (default: those of the device; tiny: for trying)')
    parser.add_argument('--precision', choices=['fp32', 'bf16'], help='(default: fp32 on a CPU, bf16 on a GPU)')
    parser.add_argument('--growth', action='store_true',
                        help='how the cost grows, instead of the cases; one timed step a size, whatever --rounds, '
                        '--seconds and --arch say')
    parser.add_argument('--rounds', type=int, default=5, help='timed runs of each way at most (default: %(default)s)')
    parser.add_argument('--seconds', type=float, default=60,
                        help='after which a case starts no further round, but two are run unless --rounds is 1 '
                        '(default: %(default)s)')
    parser.add_argument('--out', type=Path, required=True, help='JSON to write')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measure and write the result."""
    args = parse_args(argv)
    size = args.size or args.device
    settings = performance.Settings(
        device=args.device,
        arch='tiny' if size == 'tiny' else args.arch,
        precision=args.precision or dict(cpu='fp32', cuda='bf16')[args.device],
        sides={name: side for name, (side, _) in SIZES[size].items()},
        batches={name: batch for name, (_, batch) in SIZES[size].items()})
    import_modules_from_strings('s5_mm')
    most = performance.ceiling(args.device, settings.precision)
    result = dict(machine=machine(args.device), date=str(date.today()), precision=settings.precision,
                  threads=torch.get_num_threads(), torch=torch.__version__,
                  ceiling_multiply_adds_g_per_s=round(most / 1e9, 1), cases={})
    if args.growth:
        init_default_scope('mmseg')
        result['growth'] = []
        for row in performance.measure_growth(settings, size, most):
            result['growth'].append(row)
            write_json(args.out, result)
            print(row, flush=True)
        return
    for name in args.cases:
        torch.manual_seed(0)
        init_default_scope(SCOPES.get(name, 'mmseg'))
        case = performance.CASES[name](settings)
        result['cases'][name] = performance.compare(case, args.device, args.rounds, args.seconds, most)
        del case
        gc.collect()
        write_json(args.out, result)
        print(name, result['cases'][name], flush=True)
    print(table(result['cases']))


def machine(device: str) -> str:
    """What it ran on."""
    capability = torch.backends.cpu.get_cpu_capability()
    host = f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores, {capability}'
    return f'{torch.cuda.get_device_name()}, {host}' if device == 'cuda' else host


def table(cases: dict[str, dict]) -> PrettyTable:
    """The figures that matter most, as ``docs/performance.md`` shows them."""
    shown = ('ratio', 'memory_ratio', 'ours_s', 'baseline_s', 'ours_peak_mb', 'baseline_peak_mb',
             'ours_share_of_ceiling', 'rounds')
    rows = PrettyTable(['case', *shown])
    rows.set_style(TableStyle.MARKDOWN)
    for name, figures in cases.items():
        rows.add_row([name, *(figures.get(key, '') for key in shown)])
    return rows


if __name__ == '__main__':
    main()

"""Memory of converting a published ViT-H MoE-MDF segmentor (3.3 GB) to s5_mm: growth of the process against the file.

Files are made of zeros, which take no memory; conversion does not depend on values. Each conversion is a process of its
own; what is reported is the highest resident memory, mapped pages of the file among it, above that before conversion.
"""
import argparse
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

import s5_mm  # noqa: F401  before torch, since it chooses how threads wait

# isort: split

import torch
from prettytable import PrettyTable

from s5_mm.checkpoints.conversion import convert_checkpoint
from s5_mm.files import write_json

ENTRIES = 32 * 32
WIDTHS = dict(tiny=(48, 4), base=(768, 12), large=(1024, 24), huge=(1280, 32))
PART, CHANNELS = 256, 256
DATASETS = dict(vaihingen=('semsegdecoder', 5), potsdam=('semsegdecoder_potsdam', 5),
                OpenEarthMap=('semsegdecoder_OpenEarthMap', 9), loveda=('semsegdecoder_loveda', 7))
GOAL = 1.3


def main(argv: list[str] | None = None) -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', choices=WIDTHS, default='huge', help='size of the encoder (default: %(default)s)')
    parser.add_argument('--half', action='store_true', help='convert an fp16 file, which becomes fp32')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/convert_memory'), help='where files are made')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/convert_memory.json'),
                        help='JSON to write')
    args = parser.parse_args(argv)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    source = args.work_dir / f'published_{args.arch}.pth'
    make_file(source, args.arch, torch.float16 if args.half else torch.float32)
    cases = {'.pth to .pth': (source, 'ours.pth', 's5_mm'),
             '.pth to .safetensors': (source, 'ours.safetensors', 's5_mm'),
             '.safetensors to published .pth': (args.work_dir / 'ours.safetensors', 'back.pth', 'published')}
    result = dict(machine=f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores', date=str(date.today()),
                  arch=args.arch, half=args.half, cases={})
    table = PrettyTable(['conversion', 'larger file, GB', 'growth, GB', 'growth / file'])
    for name, (file, out, to) in cases.items():
        growth = measure(file, args.work_dir / out, to)
        size = max(file.stat().st_size, (args.work_dir / out).stat().st_size)
        result['cases'][name] = dict(file_gb=round(size / 1e9, 3), growth_gb=round(growth / 1e9, 3),
                                     ratio=round(growth / size, 3))
        table.add_row([name, *result['cases'][name].values()])
    for file in (source, *(args.work_dir / out for _, out, _ in cases.values())):
        file.unlink(missing_ok=True)
    write_json(args.out, result)
    print(table)
    if max(case['ratio'] for case in result['cases'].values()) >= GOAL:
        raise SystemExit(f'Conversion takes {GOAL} times the file or more.')


def make_file(path: Path, arch: str, dtype: torch.dtype) -> None:
    """Write a file in the layout of the published MoE-MDF segmentors."""
    width, depth = WIDTHS[arch]
    part = min(PART, width // 3)
    shapes = {'pos_embed': (1, ENTRIES, width), 'cls_token': (1, 1, width),
              'patch_embed.projection.weight': (width, 3, 16, 16), 'patch_embed.projection.bias': (width, ),
              'fpn1.1.ln.weight': (width, ), 'fpn1.1.ln.bias': (width, )}
    for layer in ('fpn1.0', 'fpn1.3', 'fpn2.0'):
        shapes |= {f'{layer}.weight': (width, width, 2, 2), f'{layer}.bias': (width, )}
    for i in range(depth):
        linear = {'ffn.layers.0.0': (4 * width, width), 'ffn.layers.1': (width - part, 4 * width),
                  'attn.attn.out_proj': (width, width),
                  **{f'ffn.experts.{e}': (part, 4 * width) for e in range(len(DATASETS))}}
        for name, shape in linear.items():
            shapes |= {f'layers.{i}.{name}.weight': shape, f'layers.{i}.{name}.bias': shape[:1]}
        for name in ('ln1', 'ln2'):
            shapes |= {f'layers.{i}.{name}.weight': (width, ), f'layers.{i}.{name}.bias': (width, )}
        shapes |= {f'layers.{i}.attn.attn.in_proj_weight': (3 * width, width),
                   f'layers.{i}.attn.attn.in_proj_bias': (3 * width, )}
    weights = {f'encoder.{name}': torch.zeros(shape, dtype=dtype) for name, shape in shapes.items()}
    for name, (decoder, classes) in DATASETS.items():
        convs = {'bottleneck': (CHANNELS, width + 4 * CHANNELS, 3, 3), 'fpn_bottleneck': (CHANNELS, 4 * CHANNELS, 3, 3),
                 **{f'psp_modules.{i}.1': (CHANNELS, width, 1, 1) for i in range(4)},
                 **{f'lateral_convs.{i}': (CHANNELS, width, 1, 1) for i in range(3)},
                 **{f'fpn_convs.{i}': (CHANNELS, CHANNELS, 3, 3) for i in range(3)}}
        for conv, shape in convs.items():
            weights[f'{decoder}.decode_head.{conv}.conv.weight'] = torch.zeros(shape, dtype=dtype)
            for part_name in ('weight', 'bias', 'running_mean', 'running_var'):
                weights[f'{decoder}.decode_head.{conv}.bn.{part_name}'] = torch.zeros(CHANNELS, dtype=dtype)
        weights[f'semseghead_{name}.1.weight'] = torch.zeros(classes, CHANNELS, 1, 1, dtype=dtype)
        weights[f'semseghead_{name}.1.bias'] = torch.zeros(classes, dtype=dtype)
    torch.save({'model': weights}, path)


def measure(source: Path, out: Path, to: str) -> int:
    """:func:`growth` in a process of its own."""
    script = f'from convert_memory import growth; print(growth({str(source)!r}, {str(out)!r}, {to!r}))'
    command = [sys.executable, '-W', 'ignore', '-c', script]
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parent))
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return int(done.stdout.split()[-1])


def growth(source: str, out: str, to: str) -> int:
    """Bytes by which this process grows while it converts a file, at most."""
    Path('/proc/self/clear_refs').write_text('5')  # the peak so far is forgotten
    before = memory('VmRSS')
    convert_checkpoint(source, out, to, force=True)
    return memory('VmHWM') - before


def memory(kind: str) -> int:
    """Bytes of this process that Linux tells under a name."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


if __name__ == '__main__':
    main()

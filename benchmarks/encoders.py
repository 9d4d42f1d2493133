"""Forward pass and training step of each B-size encoder against plain ViT-B, and of RVSA against plain attention.

Each encoder takes turns with ViT-B in one process, so that a ratio is of times from the same minutes. The goal for
RVSA is 1.6 times plain attention at 512 px. Weights and images are random; run it where nothing else runs.
"""
import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from pathlib import Path

import s5_mm  # noqa: F401  serves mmcv.ops, so it comes before the hosts

# isort: split
import torch
from performance.measuring import timed
from prettytable import PrettyTable, TableStyle

from s5_mm.files import write_json
from s5_mm.registry import MODELS

REFERENCE = 'vit-b'
NAMES = (REFERENCE, 'ma3e-b', 'selectivemae-b', 'rvsa-b', 'rvsa-b-diamond', 'samrs-b', 'mtp-b', 'dofa-b', 'dinov2-b',
         'dinov2-b-reg', 'dinov3-b', 'swin-b', 'gfm-b', 'satlasnet-b-aerial')
GOALS = {'rvsa-b': 1.6}


class Encoding:
    """An encoder with images for it.

    Args:
        name: In :data:`s5_mm.models.ENCODERS`.
        side: Of the images in pixels; the least multiple of the encoder's divisor that is not below.
        batch: Number of images.
        options: Of the encoder, e.g. a small ``arch``.
    """

    def __init__(self, name: str, side: int, batch: int, options: dict) -> None:
        self.name = name
        torch.manual_seed(0)
        self.encoder = MODELS.build(dict(type='s5_mm.NamedEncoder', name=name, img_size=side, drop_path_rate=0.0,
                                         **options))
        self.side = -(-side // self.encoder.divisor) * self.encoder.divisor
        self.images = torch.randn(batch, self.encoder.in_channels, self.side, self.side)
        self.optimizer = torch.optim.AdamW(self.encoder.parameters(), lr=1e-5)

    def forward(self) -> None:
        """Encode without gradients."""
        self.encoder.eval()
        with torch.no_grad():
            self.encoder(self.images)

    def step(self) -> None:
        """Encode, go back and change the weights."""
        self.encoder.train()
        self.optimizer.zero_grad()
        sum(level.float().square().mean() for level in self.encoder(self.images)).backward()
        self.optimizer.step()


def measure(names: Iterable[str], build: Callable[[str], Encoding], rounds: int) -> dict[str, dict[str, object]]:
    """Median seconds, and median over the rounds of the ratio to the reference; one run of each warms up.

    The reference is timed again beside each encoder, so that two of them are in memory.
    """
    reference = build(REFERENCE)
    return {name: compare(reference, reference if name == REFERENCE else build(name), rounds) for name in names}


def compare(reference: Encoding, encoding: Encoding, rounds: int) -> dict[str, object]:
    """Both ways of one encoder; it and the reference take turns."""
    found: dict[str, object] = dict(side=encoding.side)
    kinds: dict[str, Callable[[Encoding], None]] = dict(forward=Encoding.forward, step=Encoding.step)
    for kind, run in kinds.items():
        pairs = [[timed(partial(run, one), 'cpu') for one in (reference, encoding)] for _ in range(rounds + 1)][1:]
        found |= {f'{kind}_s': round(statistics.median(own for _, own in pairs), 4),
                  f'{kind}_ratio': round(statistics.median(own / other for other, own in pairs), 3)}
    return found


def table(found: dict[str, dict[str, object]]) -> str:
    """The figures as Markdown."""
    made = PrettyTable(['encoder', 'side (px)', 'forward (s)', 'ratio', 'step (s)', 'ratio ', 'goal'])
    for name, figures in found.items():
        goal = f'{GOALS[name]:g}' if name in GOALS else ''
        made.add_row([name, figures['side'], f'{figures["forward_s"]:.3f}', f'{figures["forward_ratio"]:.2f}',
                      f'{figures["step_s"]:.3f}', f'{figures["step_ratio"]:.2f}', goal])
    made.set_style(TableStyle.MARKDOWN)
    return made.get_string()


def main(argv: list[str] | None = None) -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--names', nargs='*', default=list(NAMES), metavar='NAME',
                        help=f'encoders; {REFERENCE} is always there (default: all of B size)')
    parser.add_argument('--size', type=int, default=512, help='side of images in pixels (default: %(default)s)')
    parser.add_argument('--batch', type=int, default=1, help='images (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=5, help='timed runs of each (default: %(default)s)')
    parser.add_argument('--threads', type=int, help="default: torch's")
    parser.add_argument('--options', type=json.loads, default={}, metavar='JSON',
                        help='options of all encoders, e.g. a small arch for a trial')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/encoders.json'), help='JSON to write')
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    names = dict.fromkeys([REFERENCE, *args.names])
    found = measure(names, lambda name: Encoding(name, args.size, args.batch, args.options), args.rounds)
    write_json(args.out, dict(
        machine=f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads',
        torch=torch.__version__, date=str(date.today()), size=args.size, batch=args.batch, rounds=args.rounds,
        goals=GOALS, encoders=found))
    print(table(found))


if __name__ == '__main__':
    main()

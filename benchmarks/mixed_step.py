"""One step on a batch that mixes four datasets against four steps on their parts: seconds of forward and backward.

The same model, samples and losses; the two ways in turns, medians. Separate passes are what a loop over datasets does.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import s5_mm  # noqa: F401  before torch, since it chooses how threads wait

# isort: split

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from prettytable import PrettyTable

from s5_mm.files import write_json
from s5_mm.registry import MODELS

CASES = {
    'tiny, 96 px, 4 x 8': dict(config='configs/quickstart/moe-mdf_vit-t_upernet_landcover4-96x96.py', side=96, each=8),
    'ViT-B, 256 px, 4 x 2': dict(
        config='configs/mdf_seg/moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py', side=256, each=2),
}


def main(argv: list[str] | None = None) -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5, help='of each timing (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/mixed_step.json'), help='JSON to write')
    args = parser.parse_args(argv)
    init_default_scope('mmseg')
    result = {
        'machine': f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores',
        'threads': torch.get_num_threads(),
        'date': str(date.today()),
        'cases': {name: measure(**case, rounds=args.rounds) for name, case in CASES.items()},
    }
    write_json(args.out, result)
    table = PrettyTable(['case', 'mixed, s', 'separate, s', 'separate / mixed'])
    for name, case in result['cases'].items():
        table.add_row([name, case['mixed_s'], case['separate_s'], case['ratio']])
    print(table)


def measure(config: str, side: int, each: int, rounds: int) -> dict[str, float]:
    """Seconds of both ways; the ratio is the median of the rounds' own."""
    network = Config.fromfile(config).model
    network.init_cfg = None
    network.backbone.update(init_cfg=None, img_size=side, drop_path_rate=0.0, with_cp=False)
    network.decode_head.norm_cfg = dict(type='BN')
    model = MODELS.build(network).train()
    samples = [make_sample(name, cfg.num_classes, side) for name, cfg in network.datasets.items() for _ in range(each)]
    inputs = torch.randn(len(samples), 3, side, side)
    parts = [slice(i, i + each) for i in range(0, len(samples), each)]
    ways = dict(
        mixed=lambda: step(model, [(inputs, samples)]),
        separate=lambda: step(model, [(inputs[part], samples[part]) for part in parts]))
    seconds = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, run in ways.items():
            spent = timed(run)
            if number:  # the first round warms up
                seconds[way].append(spent)
    ratios = [a / b for a, b in zip(seconds['separate'], seconds['mixed'], strict=True)]
    return {f'{way}_s': round(statistics.median(spent), 3) for way, spent in seconds.items()} | {
        'ratio': round(statistics.median(ratios), 3), 'setting': dict(config=config, side=side, each=each)}


def make_sample(name: str, num_classes: int, side: int) -> SegDataSample:
    """Random labels of a dataset."""
    sample = SegDataSample(metainfo=dict(
        dataset_name=name, img_shape=(side, side), pad_shape=(side, side), ori_shape=(side, side)))
    sample.gt_sem_seg = PixelData(data=torch.randint(num_classes, (1, side, side)))
    return sample


def step(model: torch.nn.Module, batches: list[tuple[torch.Tensor, list[SegDataSample]]]) -> None:
    """Forward and backward of each batch; gradients add up."""
    model.zero_grad()
    for inputs, samples in batches:
        losses = model.loss(inputs, samples)
        # The gradients of zero that distributed training needs; a loop over datasets would not ask for them.
        losses.pop('loss_absent', None)
        loss, _ = model.parse_losses(losses)
        loss.backward()


def timed(run: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == '__main__':
    main()

"""What a training step of each semi-supervised method costs, against FixMatch with a teacher.

Steps of all variants alternate in one process, with the quickstart's network and random images. The figures are ratios
of the process's CPU time, which other work on the machine changes little. On a GPU, measure a training instead.

Usage: python benchmarks/method_cost.py [--rounds 20] [--images 8] [--size 96] [--json FILE]
"""
import argparse
import copy
import json
import time
from pathlib import Path
from statistics import median

import s5_mm  # noqa: F401  before torch, since it chooses how threads wait

# isort: split

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from s5_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/quickstart/fixmatch_vit-t_upernet_synthetic-96x96.py'
REFERENCE = 'FixMatch with a teacher'
UNIMATCH_V2 = dict(type='s5_mm.UniMatchV2Segmentor')
VARIANTS = {
    REFERENCE: {},
    'FixMatch without a teacher': dict(teacher=None),
    'UniMatch V2': UNIMATCH_V2,
    'UniMatch V2 in one pass': UNIMATCH_V2 | dict(shared_pass=True),
    '+ ClassMean': dict(selection=dict(type='s5_mm.ClassMean')),
    '+ ClassQuantile': dict(selection=dict(type='s5_mm.ClassQuantile')),
    '+ SoftMatch': dict(selection=dict(type='s5_mm.SoftMatch')),
    '+ FreeMatchThreshold': dict(selection=dict(type='s5_mm.FreeMatchThreshold', floor=0.8)),
    '+ DAWThreshold': dict(selection=dict(type='s5_mm.DAWThreshold')),
    '+ RankWeight': dict(selection=dict(type='s5_mm.RankWeight')),
    '+ ShareAlignment': dict(alignment=dict(type='s5_mm.ShareAlignment')),
    '+ ClassMix': dict(classmix={}),
    '+ pool_batch_norm': dict(pool_batch_norm=True),
}
"""Name -> settings of the model that differ from the reference."""


class Training:
    """A model with its optimizer.

    Args:
        options: Settings that differ from the quickstart's FixMatch.
    """

    def __init__(self, options: dict) -> None:
        cfg = copy.deepcopy(Config.fromfile(CONFIG).model)
        cfg.segmentor.init_cfg = None
        cfg.update(options)
        torch.manual_seed(0)
        self.model = MODELS.build(cfg).train()
        self.model.teacher_is_updated = True
        self.optimizer = torch.optim.AdamW(self.model.segmentor.parameters(), lr=1e-4)

    def step(self, images: Tensor, samples: list[SegDataSample]) -> float:
        """Make a step; returns its CPU seconds."""
        start = time.process_time()
        loss, _ = self.model.parse_losses(self.model.loss(images, samples))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.model.teacher is not None:
            self.model.update_teacher()
        return time.process_time() - start


def make_batch(number: int, size: int) -> tuple[Tensor, list[SegDataSample]]:
    """As many random labeled as unlabeled images, normalized, (2 * number, 3, size, size), and their samples."""
    generator = np.random.default_rng(0)
    samples = []
    for source in ['labeled'] * number + ['unlabeled'] * number:
        mask = generator.integers(0, 16, (1, size, size)) if source == 'labeled' else np.zeros((1, size, size), int)
        sample = SegDataSample(metainfo=dict(dataset_name=source, img_shape=(size, size), pad_shape=(size, size)))
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(mask))
        samples.append(sample)
    return torch.from_numpy(generator.standard_normal((2 * number, 3, size, size)).astype(np.float32)), samples


def measure(rounds: int, number: int, size: int) -> dict[str, float]:
    """Median CPU seconds of a step of each variant; the first two rounds do not count."""
    torch.set_num_threads(1)
    init_default_scope('mmseg')
    batch = make_batch(number, size)
    trainings = {name: Training(options) for name, options in VARIANTS.items()}
    seconds = {name: [] for name in VARIANTS}
    for _ in range(rounds + 2):
        for name, training in trainings.items():
            seconds[name].append(training.step(*batch))
    return {name: median(values[2:]) for name, values in seconds.items()}


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=20, help='steps of each variant (default: %(default)s)')
    parser.add_argument('--images', type=int, default=8, help='labeled and unlabeled ones (default: %(default)s each)')
    parser.add_argument('--size', type=int, default=96, help='side in pixels (default: %(default)s)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures there')
    args = parser.parse_args(argv)
    seconds = measure(args.rounds, args.images, args.size)
    for name, value in seconds.items():
        print(f'{name:<28} {value:7.3f} s  {value / seconds[REFERENCE]:5.2f}')
    if args.json:
        args.json.write_text(json.dumps(dict(seconds=seconds, rounds=args.rounds), indent=2) + '\n')


if __name__ == '__main__':
    main()

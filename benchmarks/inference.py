"""Inference by engine, side by side in one run: time of a window against torch, and mIoU.

Time is that of ViT-B + UperNet of random weights on windows of --size px, as tools/predict.py runs it: bytes to
probabilities. The engines take turns; a ratio is the median over the rounds of torch's time in fp32 / the engine's.
mIoU is that of a network of the quickstart on its validation images.
"""
import argparse
import os
import platform
import statistics
import time
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path

import s5_mm  # noqa: F401  first: it chooses how threads wait and gives mmrotate operators

# isort: split
import numpy as np
import torch
from commands import ROOT
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from prettytable import PrettyTable

from s5_mm.export import FORMATS, PRECISIONS, export, load_exported, with_engine
from s5_mm.files import write_json
from s5_mm.registry import DATASETS, MODELS
from s5_mm.scenes import SceneModel, SegmentationSettings, load_model
from s5_mm.scenes.segmentation import class_probabilities

NETWORKS = dict(base='configs/s4p/supervised_vit-b-mae_upernet_8xb12-120k_isaid-512x512.py',
                tiny='configs/quickstart/start_vit-t_upernet_synthetic-96x96.py')
QUICKSTART = 'configs/quickstart/fixmatch_vit-t_upernet_synthetic-96x96.py'
FILES = dict(onnxruntime='onnx', openvino='openvino')
"""Engine -> format that it runs."""
GOALS = dict(fp32=1.8, reduced=3.0, points=0.5)
"""Least ratios of the fastest engine in fp32, and in bf16 or int8; largest difference of mIoU from torch's."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--network', choices=NETWORKS, default='base', help='(default: %(default)s)')
    parser.add_argument('--size', type=int, default=512, help='side of a window in px (default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=1, help='windows in a forward (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=1, help='of every engine (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=5, help='timed runs of each engine (default: %(default)s)')
    parser.add_argument('--engines', nargs='+', choices=PRECISIONS, default=list(PRECISIONS),
                        help='(default: all)')
    parser.add_argument('--checkpoint', type=Path, help='of S4P in the quickstart (default: its newest)')
    parser.add_argument('--data', type=Path, default=Path('data/quickstart/isaid'), help='(default: %(default)s)')
    parser.add_argument('--images', type=int, help='validation images (default: all)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/inference'), help='for exported files')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/inference.json'), help='JSON to write')
    return parser.parse_args(argv)


def models_by_way(args: argparse.Namespace, cfg: Config, checkpoint: Path) -> Iterator[tuple[str, SceneModel]]:
    """The model run by every engine in every precision, ``ENGINE PRECISION``; torch in fp32 comes first."""
    model = load_model(cfg, checkpoint, device='cpu')
    for engine in sorted(args.engines, key=lambda name: name != 'torch'):
        if engine in FILES:
            path = args.work_dir / f'{model.name}{FORMATS[FILES[engine]].suffix}'
            export(cfg, checkpoint, path, FILES[engine], force=True)
        for precision in PRECISIONS[engine]:
            try:
                ready = (load_exported(path, engine, precision) if engine in FILES else
                         with_engine(model, cfg.model, engine, precision))
            except ValueError as error:
                print(f'{engine} {precision} is left out: {error}')
            else:
                yield f'{engine} {precision}', ready


def timed(model: SceneModel, images: np.ndarray) -> float:
    """Seconds for a batch."""
    start = time.perf_counter()
    class_probabilities(model, images, SegmentationSettings())
    return time.perf_counter() - start


def measure_time(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Way -> seconds of a window, and the ratio to torch in fp32."""
    cfg, checkpoint = random_network(args)
    models = dict(models_by_way(args, cfg, checkpoint))
    images = np.random.default_rng(0).integers(0, 255, (args.batch_size, 3, args.size, args.size), np.uint8)
    for model in models.values():
        timed(model, images)
        timed(model, images)
    spent: dict[str, list[float]] = {way: [] for way in models}
    for turn in range(args.rounds):
        for way, model in list(models.items())[::-1 if turn % 2 else 1]:
            spent[way].append(timed(model, images) / args.batch_size)
    usual = spent['torch fp32']
    return {way: dict(seconds=round(statistics.median(times), 3), ratio=round(statistics.median(
        one / other for one, other in zip(usual, times, strict=True)), 2)) for way, times in spent.items()}


def random_network(args: argparse.Namespace) -> tuple[Config, Path]:
    """Config and checkpoint of the network that is timed."""
    cfg = Config.fromfile(ROOT / NETWORKS[args.network])
    init_default_scope('mmseg')
    cfg.model.backbone.update(img_size=args.size, init_cfg=None)
    cfg.model.init_cfg = None
    torch.manual_seed(0)
    checkpoint = args.work_dir / 'random.pth'
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), checkpoint)
    return cfg, checkpoint


def measure_scores(args: argparse.Namespace) -> dict[str, float]:
    """Way -> mIoU in percent of the quickstart's network on validation images."""
    cfg = Config.fromfile(ROOT / QUICKSTART)
    checkpoint = args.checkpoint or newest(ROOT / 'work_dirs/quickstart/s4p')
    return {way: score(model, cfg, args) for way, model in models_by_way(args, cfg, checkpoint)}


def newest(folder: Path) -> Path:
    """The newest checkpoint of a training.

    Raises:
        FileNotFoundError: There is none.
    """
    found = sorted(folder.glob('iter_*.pth'), key=lambda path: path.stat().st_mtime)
    if not found:
        raise FileNotFoundError(f'{folder} has no checkpoint; run `make quickstart` first, or give --checkpoint.')
    return found[-1]


def score(model: SceneModel, cfg: Config, args: argparse.Namespace) -> float:
    """mIoU in percent, as tools/test.py computes it."""
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, data_root=str(args.data)))
    evaluator = Evaluator(cfg.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    number = min(len(dataset), args.images or len(dataset))
    for index in range(number):
        sample = dataset[index]
        shares = class_probabilities(model, sample['inputs'][None].numpy(), SegmentationSettings())
        sample['data_samples'].pred_sem_seg = PixelData(data=shares[0].argmax(0, keepdim=True))
        evaluator.process([sample['data_samples']])
    return evaluator.evaluate(number)['mIoU']


def verdict(times: dict[str, dict[str, float]], scores: dict[str, float]) -> dict[str, bool]:
    """Which of :data:`GOALS` are reached."""
    best = {kind: max([found['ratio'] for way, found in times.items() if way.endswith('fp32') == (kind == 'fp32')],
                      default=0) for kind in ('fp32', 'reduced')}
    reached = {kind: best[kind] >= GOALS[kind] for kind in best}
    differences = [abs(value - scores['torch fp32']) for value in scores.values()]
    return reached | dict(points=max(differences) <= GOALS['points'])


def main(argv: list[str] | None = None) -> None:
    """Measure, show, write."""
    args = parse_args(argv)
    if 'torch' not in args.engines:
        args.engines = ['torch', *args.engines]
    torch.set_num_threads(args.threads)
    scores, times = measure_scores(args), measure_time(args)
    table = PrettyTable(['engine', 'seconds a window', 'ratio to torch fp32', 'mIoU'])
    for way, found in times.items():
        table.add_row([way, found['seconds'], found['ratio'], f'{scores[way]:.2f}'])
    print(table)
    reached = verdict(times, scores)
    print(f'goals {GOALS}: {reached}')
    packages = ('torch', 'onnxruntime', 'openvino')
    write_json(args.out, dict(
        date=date.today().isoformat(), machine=platform.machine(), cores=os.cpu_count(), threads=args.threads,
        versions={name: version(name) for name in packages}, network=args.network, size=args.size,
        batch_size=args.batch_size, rounds=args.rounds, engines={way: found | dict(mIoU=scores[way]) for way, found in
                                                                 times.items()}, goals=GOALS, reached=reached))


if __name__ == '__main__':
    main()

"""Operators on rotated boxes: plain torch of ``s5_mm.ops`` against mmcv's compiled ones, called as mmrotate calls them.

Both take turns in one process; seconds are those of the processor on a CPU (one thread), medians over the rounds.
Without compiled operators of mmcv only ours are measured. Shares of wrong overlaps and duplicates that suppression
leaves are counted besides.

Usage: python benchmarks/rotated_ops.py [--exact 100000]
"""
import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import s5_mm  # noqa: F401  before mmcv.ops, which it gives operators

# isort: split
import numpy as np
import shapely
import torch
from mmcv.ops import box_iou_rotated, nms_rotated, roi_align_rotated
from prettytable import PrettyTable
from torch import Tensor

from s5_mm import ops
from s5_mm.files import write_json

SIDE = 1024
Run = Callable[[], object]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cases', nargs='*', choices=list(CASES), default=list(CASES), help='default: all')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu', help='default: %(default)s')
    parser.add_argument('--rounds', type=int, default=3, help='default: %(default)s')
    parser.add_argument('--exact', type=int, default=0, metavar='PAIRS',
                        help='compare so many pairs of each kind with shapely as well')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/rotated_ops.json'), help='JSON to write')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measure, print and write."""
    args = parse_args(argv)
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    result = dict(machine=f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores', date=str(date.today()),
                  torch=torch.__version__, device=args.device, seconds={}, wrong={}, exact={})
    table = PrettyTable(['case', 's5_mm.ops, s', 'mmcv, s', 'ratio'])
    for name in args.cases:
        figures = result['seconds'][name] = compare(CASES[name](args.device, rng), args.device, args.rounds)
        table.add_row([name, figures['ours_s'], figures.get('mmcv_s', ''), figures.get('ratio', '')])
    print(table)
    if operators().compiled:
        result['wrong'] = wrong_overlaps(rng) | duplicates(rng)
        table = PrettyTable(['of boxes in float32', 's5_mm.ops', 'mmcv'])
        table.add_rows([[name, *shares.values()] for name, shares in result['wrong'].items()])
        print(table)
    if args.exact:
        result['exact'] = {kind: largest_difference(*pairs) for kind, pairs in kinds_of_pairs(args.exact, rng).items()}
        table = PrettyTable(['pairs in float64', 'largest difference of IoU from shapely'])
        table.add_rows([*result['exact'].items()])
        print(table)
    write_json(args.out, result)


def operators() -> ops.Operators:
    """What ``mmcv.ops`` calls."""
    return ops.serve_mmcv()


def compare(run: Run, device: str, rounds: int) -> dict[str, float]:
    """Median seconds of both, and mmcv's over ours."""
    spent = dict(ours=[], mmcv=[]) if operators().compiled and operators().works_on(device) else dict(ours=[])
    for _ in range(rounds + 1):
        for way, times in spent.items():
            operators().choice = 'mmcv' if way == 'mmcv' else 'torch'
            times.append(timed(run, device))
    operators().choice = 'torch'
    medians = {way: statistics.median(times[1:]) for way, times in spent.items()}
    ratio = dict(ratio=round(medians['mmcv'] / medians['ours'], 2)) if 'mmcv' in medians else {}
    return {f'{way}_s': round(median, 4) for way, median in medians.items()} | ratio


def timed(run: Run, device: str) -> float:
    """Seconds of the processor; of the clock for a GPU."""
    if device == 'cpu':
        start = time.process_time()
        run()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def draw(number: int, rng: torch.Generator, sizes: tuple[float, float] = (8, 200), side: float = SIDE) -> Tensor:
    """(number, 5) boxes anywhere in an image, float64."""
    unit = torch.rand(number, 5, generator=rng, dtype=torch.float64)
    low, high = sizes
    return torch.cat([unit[:, :2] * side, low + unit[:, 2:4] * (high - low), (unit[:, 4:] - 0.5) * np.pi], dim=1)


def detections(number: int, rng: torch.Generator) -> Tensor:
    """(number, 5) boxes around 100 objects, as the second stage of a detector gives them."""
    objects = draw(100, rng)[torch.randint(100, (number, ), generator=rng)]
    jitter = torch.randn(number, 5, generator=rng, dtype=torch.float64)
    size = objects[:, 2:4].mean(1, keepdim=True)
    return objects + 0.1 * jitter * torch.cat([size.expand(-1, 4), torch.ones_like(size)], 1)


def iou_case(number: int, objects: int) -> Callable[[str, torch.Generator], Run]:
    """Every proposal with every object, as an assigner asks."""
    def make(device: str, rng: torch.Generator) -> Run:
        first, second = (draw(size, rng).float().to(device) for size in (number, objects))
        return lambda: box_iou_rotated(first, second)
    return make


def nms_case(number: int, scene: Callable[[int, torch.Generator], Tensor]) -> Callable[[str, torch.Generator], Run]:
    """The detections of an image."""
    def make(device: str, rng: torch.Generator) -> Run:
        boxes, scores = scene(number, rng).float().to(device), torch.rand(number, generator=rng).to(device)
        return lambda: nms_rotated(boxes, scores, 0.1)
    return make


def roi_case(side: int, number: int, backward: bool) -> Callable[[str, torch.Generator], Run]:
    """Features of RoIs from two maps of 256 channels, 7 x 7 bins of 2 x 2 samples; objects are 4 to 28 pixels large."""
    def make(device: str, rng: torch.Generator) -> Run:
        maps = torch.randn(2, 256, side, side, generator=rng).to(device).requires_grad_(backward)
        images = torch.randint(2, (number, 1), generator=rng)
        rois = torch.cat([images, draw(number, rng, sizes=(4, 28), side=side)], dim=1).float().to(device)
        gradient = torch.randn(number, 256, 7, 7, generator=rng).to(device)

        def run() -> None:
            features = roi_align_rotated(maps, rois, (7, 7), 1.0, 2, True, True)
            if backward:
                torch.autograd.grad(features, maps, gradient)
        return run
    return make


CASES = {
    'IoU 2000 x 100': iou_case(2000, 100),
    'IoU 8000 x 300': iou_case(8000, 300),
} | {
    f'NMS {number}, {place}': nms_case(number, scene)
    for place, scene in (('100 objects', detections), ('anywhere', draw)) for number in (1000, 2000, 4000)
} | {
    f'RoIAlignRotated {way}, 512 RoIs, maps {side} x {side}': roi_case(side, 512, way != 'forward')
    for side in (256, 64, 16) for way in ('forward', 'and backward')}


def wrong_overlaps(rng: torch.Generator, number: int = 4000) -> dict[str, dict[str, float]]:
    """Percent of pairs of float32 boxes whose IoU is off by more than 0.01."""
    boxes = draw(number, rng).float()
    wrong = {}
    for kind, others in (('twins', twins_of(boxes)), ('shifted by a quarter along a side', shifted(boxes))):
        exact = iou_by_shapely(boxes.double(), others.double())
        wrong[f'{kind}: wrong, %'] = {}
        for way in ('torch', 'mmcv'):
            operators().choice = way
            off = box_iou_rotated(boxes, others, aligned=True).double() - exact
            wrong[f'{kind}: wrong, %'][way] = round(100 * (off.abs() > 0.01).double().mean().item(), 2)
    operators().choice = 'torch'
    return wrong


def duplicates(rng: torch.Generator, number: int = 2000, iou_threshold: float = 0.5) -> dict[str, dict[str, float]]:
    """What suppression leaves of boxes in rows, as ships in a harbor lie, each found twice."""
    columns = int(number**0.5)
    places = torch.arange(number, dtype=torch.float64)
    turn = 2 * torch.rand(1, generator=rng, dtype=torch.float64) - 1
    x, y = places % columns * 10, (places / columns).floor() * 26
    sizes = torch.tensor([8.0, 24]) + torch.randn(number, 2, generator=rng, dtype=torch.float64) / 2
    boxes = torch.stack([x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos(), *sizes.T,
                         turn.expand(number)], dim=1).float()
    boxes = torch.cat([boxes, twins_of(boxes)])
    scores = torch.rand(len(boxes), generator=rng)
    left = {}
    for way in ('torch', 'mmcv'):
        operators().choice = way
        left[way] = len(nms_rotated(boxes, scores, iou_threshold)[1])
    operators().choice = 'torch'
    return {f'{number} boxes found twice: left by NMS at {iou_threshold}': left}


def twins_of(boxes: Tensor) -> Tensor:
    """The same boxes, as float32 corners give them: IoU above 0.99."""
    corners = ops.corners_of(boxes).float().view(-1, 4, 2)
    along, across = corners[:, 0] - corners[:, 3], corners[:, 0] - corners[:, 1]
    angle = torch.atan2(along[:, 1], along[:, 0])
    return torch.cat([corners.mean(1), along.norm(dim=1, keepdim=True), across.norm(dim=1, keepdim=True),
                      angle[:, None]], dim=1)


def shifted(boxes: Tensor) -> Tensor:
    """The same boxes, moved by a quarter of their width along it: IoU 0.6."""
    angle = boxes[:, 4:]
    return torch.cat([boxes[:, :2] + boxes[:, 2:3] / 4 * torch.cat([angle.cos(), angle.sin()], 1), boxes[:, 2:]], 1)


def kinds_of_pairs(number: int, rng: torch.Generator) -> dict[str, tuple[Tensor, Tensor]]:
    """Pairs of boxes, float64, that are known to be hard or unusual; ``number`` of each kind."""
    boxes, others = draw(number, rng, side=300), draw(number, rng, side=300)
    noise = torch.randn(number, 5, generator=rng, dtype=torch.float64)
    turn = np.pi / 2
    half, large = boxes.new_tensor([1, 1, 0.5, 0.5, 1]), boxes.new_tensor([1e4, 1e4, 5e3, 5e3, 1])
    small = boxes.new_tensor([1e-5, 1e-5, 1e-5, 1e-5, 1])
    beside = boxes.clone()
    beside[:, :2] += boxes[:, 2:3] * torch.stack([boxes[:, 4].cos(), boxes[:, 4].sin()], 1)
    flat = torch.where(torch.rand(number, 5, generator=rng) < 0.5, boxes, boxes * boxes.new_tensor([1, 1, 0, 1, 1]))
    thin = boxes * boxes.new_tensor([1, 1, 1e-5, 5, 1])
    return {
        'anywhere': (boxes, others),
        'nearly coincident, 1e-9': (boxes, boxes + 1e-9 * noise),
        'nearly coincident, 1e-5': (boxes, boxes + 1e-5 * noise),
        'coincident, sides exchanged': (boxes, torch.cat([boxes[:, :2], boxes[:, [3, 2]], boxes[:, 4:] + turn], 1)),
        'shifted by a quarter along a side': (boxes, shifted(boxes)),
        'touching': (boxes, beside),
        'contained': (boxes, boxes * half),
        'degenerate': (flat, others),
        'up to 1e6 px': (boxes * large, others * large),
        'from 1e-3 px': (boxes * small, others * small),
        'huge and tiny': (boxes * large, others * small),
        'thin': (thin, thin + 1e-6 * noise),
    }


def largest_difference(first: Tensor, second: Tensor) -> float:
    """Of the IoU, whichever box comes first, from the overlap of polygons in shapely."""
    exact = iou_by_shapely(first, second)
    ways = (ops.box_iou_rotated(first, second, aligned=True), ops.box_iou_rotated(second, first, aligned=True),
            ops.box_iou_rotated(*map(ops.corners_of, (first, second)), aligned=True))
    return max(float((way - exact).abs().max()) for way in ways)


def iou_by_shapely(first: Tensor, second: Tensor) -> Tensor:
    """(P, ), of the polygons seen from the middle between the boxes, whose corners are rounded least there."""
    middle = torch.cat([(first[:, :2] + second[:, :2]) / 2, torch.zeros(len(first), 3)], 1)
    one, other = (shapely.polygons(ops.corners_of(boxes - middle).view(-1, 4, 2).numpy()) for boxes in (first, second))
    common = shapely.area(shapely.intersection(one, other))
    both = shapely.area(one) + shapely.area(other) - common
    return torch.from_numpy(np.where(common > 0, common / np.where(both > 0, both, 1), 0))


if __name__ == '__main__':
    main()

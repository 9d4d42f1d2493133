"""What float32 overlaps of rotated boxes cost: mmcv's against the float64 ones of the metrics, on a CPU.

Boxes stand close together as ships in a harbor. Each is found twice, the second time as the same box read back from
its corners, as another patch might give it. The IoU of such twins is above 0.99: NMS should leave one of them.
"""
import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import s5_mm  # noqa: F401  before torch, since it chooses how threads wait

# isort: split

import numpy as np
import torch
from mmcv.ops import box_iou_rotated, nms_rotated
from mmrotate.structures.bbox import qbox2rbox, rbox2qbox
from torch import Tensor

from s5_mm.evaluation import as_polygons, overlapping_pairs, polygon_nms


def make_boxes(number: int, seed: int) -> Tensor:
    """(number, 5) boxes of 8 x 24 px in rows, 10 px apart; rows turned as a whole."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(number**0.5))
    x, y = np.meshgrid(np.arange(side) * 10.0, np.arange(side) * 26.0)
    angle = rng.uniform(-np.pi / 2, np.pi / 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centers = np.stack([x.ravel(), y.ravel()], axis=1)[:number] @ turn.T
    sizes = np.array([8.0, 24.0]) + rng.normal(0, 0.5, (number, 2))
    return torch.tensor(np.concatenate([centers, sizes, np.full((number, 1), angle)], axis=1)).float()


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Result and seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def measure(number: int, iou_thr: float, seed: int) -> dict[str, float]:
    """Wrong overlaps, kept boxes and seconds."""
    boxes = make_boxes(number, seed)
    twins = qbox2rbox(rbox2qbox(boxes))
    both = torch.cat([boxes, twins])
    scores = torch.rand(len(both), generator=torch.Generator().manual_seed(seed))
    iou = box_iou_rotated(boxes, twins, aligned=True)
    (_, kept), seconds = timed(lambda: nms_rotated(both, scores, iou_thr))
    polygons = as_polygons(both)
    own, own_seconds = timed(lambda: polygon_nms(polygons, scores.numpy(), iou_thr))
    return dict(
        boxes=number, iou_thr=iou_thr, twins_below_half_in_mmcv=int((iou < 0.5).sum()), kept_by_mmcv=len(kept),
        kept_by_float64=len(own), pairs_left_by_mmcv=len(overlapping_pairs(polygons[kept], above=iou_thr).first),
        mmcv_s=round(seconds, 3), float64_s=round(own_seconds, 3))


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--boxes', type=int, default=2000, help='number of boxes; default 2000')
    parser.add_argument('--seed', type=int, default=0, help='of places and scores; default 0')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    for iou_thr in (0.1, 0.3, 0.5):
        print(json.dumps(measure(args.boxes, iou_thr, args.seed)))


if __name__ == '__main__':
    main()

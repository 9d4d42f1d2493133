"""How much faster boxes are decoded by tensor operations than by mmrotate's midpoint-offset coder, and how alike.

Corners are compared with each other's and with the exact ones, which the definition gives in double precision.

Usage: python benchmarks/midpoint_offset.py [--boxes 100000] [--seed 0] [--json FILE]
"""
import argparse
import json
import math
import time
from pathlib import Path

import s5_mm  # noqa: F401  first: it chooses how threads wait and gives mmrotate operators

# isort: split
import torch
from mmrotate.models.task_modules.coders import MidpointOffsetCoder as MMRotateCoder
from mmrotate.structures.bbox import RotatedBoxes
from torch import Tensor

from s5_mm.models import S5MidpointOffsetCoder

# As the RPN of Oriented R-CNN is set.
SETTINGS = dict(target_stds=(1.0, 1.0, 1.0, 1.0, 0.5, 0.5), angle_version='le90')


def draw(number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Anchors (N, 4) of 8 to 512 px in an image of 1024 px, and standard normal deltas (N, 6)."""
    rng = torch.Generator().manual_seed(seed)
    centers = 1024 * torch.rand(number, 2, generator=rng)
    halves = 4 * 64**torch.rand(number, 2, generator=rng)
    return torch.cat([centers - halves, centers + halves], dim=1), torch.randn(number, 6, generator=rng)


def published_case(deltas: Tensor) -> Tensor:
    """Where the published decoder returns the horizontal box: da >= 1/2 and db <= -1/2; (N, ) bool."""
    offsets = deltas[:, 4:] * deltas.new_tensor(SETTINGS['target_stds'][4:])
    return (offsets[:, 0] >= 0.5) & (offsets[:, 1] <= -0.5)


def exact_corners(anchors: Tensor, deltas: Tensor) -> Tensor:
    """Corners (N, 4, 2) by the definition, in float64; not those of the published case."""
    anchors, deltas = anchors.double(), deltas.double() * deltas.new_tensor(SETTINGS['target_stds']).double()
    sizes = anchors[:, 2:] - anchors[:, :2]
    centers = (anchors[:, :2] + anchors[:, 2:]) / 2 + sizes * deltas[:, :2]
    limit = math.log(1000 / 16)
    sizes = sizes * deltas[:, 2:4].clamp(-limit, limit).exp()
    offsets = sizes * deltas[:, 4:].clamp(-0.5, 0.5)
    upper = torch.stack([offsets[:, 0], -sizes[:, 1] / 2], dim=1)
    right = torch.stack([sizes[:, 0] / 2, offsets[:, 1]], dim=1)
    diagonals = torch.stack([upper, right, -upper, -right], dim=1)
    lengths = diagonals.norm(dim=2, keepdim=True)
    return centers[:, None] + diagonals * (lengths.amax(dim=1, keepdim=True) / lengths)


def corners_of(boxes: RotatedBoxes) -> Tensor:
    """Corners (N, 4, 2), float64."""
    return RotatedBoxes(boxes.tensor.double()).convert_to('qbox').tensor.view(-1, 4, 2)


def distances(corners: Tensor, others: Tensor) -> Tensor:
    """Largest distance of corresponding corners, (N, ) px; of the ways to name the corners in turn the best."""
    ways = [(corners - others[:, order].roll(turn, dims=1)).norm(dim=2).amax(dim=1)
            for turn in range(4) for order in ([0, 1, 2, 3], [3, 2, 1, 0])]
    return torch.stack(ways).amin(dim=0)


def decode(kind: type, anchors: Tensor, deltas: Tensor, repeats: int = 3) -> tuple[RotatedBoxes, float]:
    """Boxes, and the least time in seconds."""
    coder, times = kind(**SETTINGS), []
    for _ in range(repeats):
        start = time.perf_counter()
        boxes = coder.decode(anchors, deltas)
        times.append(time.perf_counter() - start)
    return boxes, min(times)


def compare(number: int, seed: int) -> dict:
    """Decode the same random boxes by both."""
    anchors, deltas = draw(number, seed)
    ours, ours_s = decode(S5MidpointOffsetCoder, anchors, deltas)
    theirs, theirs_s = decode(MMRotateCoder, anchors, deltas)
    case = published_case(deltas)
    mine, other, exact = corners_of(ours), corners_of(theirs), exact_corners(anchors, deltas)
    apart = dict(ours_mmrotate=(mine, other), ours_exact=(mine, exact), mmrotate_exact=(other, exact))
    return dict(
        boxes=number,
        ratio=round(theirs_s / ours_s, 1),
        ours_s=round(ours_s, 4),
        mmrotate_s=round(theirs_s, 4),
        published_case_share=round(case.float().mean().item(), 4),
        max_corner_distance_px={
            name: round(distances(*corners)[~case].max().item(), 5) for name, corners in apart.items()})


def main(argv: list[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--boxes', type=int, default=100_000, help='number of random boxes')
    parser.add_argument('--seed', type=int, default=0, help='seed of the random numbers')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures there, too')
    args = parser.parse_args(argv)
    figures = json.dumps(compare(args.boxes, args.seed), indent=2)
    print(figures)
    if args.json:
        args.json.write_text(figures)


if __name__ == '__main__':
    main()

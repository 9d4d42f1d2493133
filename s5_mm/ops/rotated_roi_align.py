"""RoIAlign of rotated boxes as a product with a sparse matrix, which ``embedding_bag`` computes."""
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

ENTRIES = 1 << 21
"""Number of weighted pixels that are handled at a time; limits memory."""


class Sampling(NamedTuple):
    """How features of RoIs are sampled, see :func:`roi_align_rotated`."""

    output_size: tuple[int, int]
    spatial_scale: float
    sampling_ratio: int = 0
    aligned: bool = True
    clockwise: bool = False


class Entries(NamedTuple):
    """Of some RoIs the pixels that the bins of their features are weighted means of.

    Attributes:
        rois: Indices of the RoIs, (n, ).
        pixels: Indices into the flat maps (B * H * W), (n * bins, E).
        weights: Of the pixels, likewise.
    """

    rois: Tensor
    pixels: Tensor
    weights: Tensor


def roi_align_rotated(features: Tensor, rois: Tensor, output_size: tuple[int, int], spatial_scale: float,
                      sampling_ratio: int = 0, aligned: bool = True, clockwise: bool = False) -> Tensor:
    """Sample the features of rotated RoIs on a grid of bins, as mmcv's ``RoIAlignRotated`` defines it.

    A bin is the mean of samples at even distances, each interpolated bilinearly. Samples more than a pixel outside of
    the map are 0. The result is differentiable with respect to the features, not to the RoIs.

    Args:
        features: Maps (B, C, H, W) of any floating type and layout in memory.
        rois: (K, 6): index of the image, center x and y, width and height in pixels of the image, angle in radians.
        output_size: Number of bins along height and width.
        spatial_scale: Pixels of the map for each pixel of the image.
        sampling_ratio: Samples of a bin along each side; 0 for one a pixel of the map, rounded up.
        aligned: Whether coordinates are those of the areas of pixels: the center of the first one is at 0.5. If not, it
            is at 0, and RoIs are at least one pixel of the map wide and high, as in old models.
        clockwise: Whether angles are positive clockwise in the image.

    Returns:
        (K, C, height, width), of the type of the features.
    """
    return _RoIAlignRotated.apply(
        features, rois, Sampling(output_size, spatial_scale, sampling_ratio, aligned, clockwise))


class _RoIAlignRotated(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, features: Tensor, rois: Tensor, sampling: Sampling) -> Tensor:
        ctx.save_for_backward(rois)
        ctx.shape, ctx.dtype, ctx.sampling = features.shape, features.dtype, sampling
        return pool(features, rois, sampling)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return spread(gradient, ctx.saved_tensors[0], ctx.shape, ctx.sampling).to(ctx.dtype), None, None


def pool(features: Tensor, rois: Tensor, sampling: Sampling) -> Tensor:
    """Features of RoIs, see :func:`roi_align_rotated`."""
    channels, (height, width) = features.shape[1], sampling.output_size
    rows = _rows_of(_at_least_float32(features))
    pooled = rows.new_zeros(len(rois), height * width, channels)
    for part in entries(rois, features.shape, sampling):
        bins = embedding_bag(part.pixels, rows, mode='sum', per_sample_weights=part.weights.to(rows))
        pooled[part.rois] = bins.view(len(part.rois), height * width, channels)
    return pooled.view(len(rois), height, width, channels).permute(0, 3, 1, 2).to(features.dtype)


def spread(gradient: Tensor, rois: Tensor, shape: torch.Size, sampling: Sampling) -> Tensor:
    """Gradient of the maps from that of the features of RoIs.

    Args:
        gradient: (K, C, height, width).
        rois: (K, 6).
        shape: Of the maps, (B, C, H, W).
        sampling: How the features were sampled.

    Returns:
        (B, C, H, W).
    """
    batch, channels, height, width = shape
    bins = _at_least_float32(gradient).permute(0, 2, 3, 1).flatten(1, 2).contiguous()
    rows = bins.new_zeros(batch * height * width, channels)
    for part in entries(rois, shape, sampling):
        # The transposed matrix: of each pixel the bins that it is part of.
        order = part.pixels.flatten().argsort()
        pixels, counts = part.pixels.flatten()[order].unique_consecutive(return_counts=True)
        rows.index_add_(0, pixels, embedding_bag(
            order // part.pixels.shape[1], bins[part.rois].flatten(0, 1), counts.cumsum(0) - counts, mode='sum',
            per_sample_weights=part.weights.flatten()[order].to(rows)))
    maps = rows.new_empty(shape)
    for one, of_image in zip(maps.flatten(2), rows.view(batch, -1, channels), strict=True):
        one.copy_(of_image.t())
    return maps


def _rows_of(maps: Tensor) -> Tensor:
    """Pixels (B * H * W, C) of maps (B, C, H, W), contiguous, without which ``embedding_bag`` is ten times slower."""
    if maps.is_contiguous(memory_format=torch.channels_last):
        return maps.permute(0, 2, 3, 1).flatten(0, 2)
    # torch transposes one matrix five times faster than a batch of them.
    rows = maps.new_empty(len(maps), math.prod(maps.shape[2:]), maps.shape[1])
    for of_image, one in zip(rows, maps.flatten(2), strict=True):
        of_image.copy_(one.t())
    return rows.flatten(0, 1)


def entries(rois: Tensor, shape: torch.Size, sampling: Sampling) -> Iterator[Entries]:
    """The sparse matrix, in parts of RoIs that have equally many samples.

    Args:
        rois: (K, 6), see :func:`roi_align_rotated`.
        shape: Of the maps, (B, C, H, W).
        sampling: How features are sampled.
    """
    boxes = _at_least_float32(rois)
    sizes = boxes[:, 3:5].flip(1) * sampling.spatial_scale
    if not sampling.aligned:
        sizes = sizes.clamp(min=1)
    bins = sizes.new_tensor(sampling.output_size)
    samples = torch.full_like(sizes, sampling.sampling_ratio) if sampling.sampling_ratio > 0 else (sizes / bins).ceil()
    # The features of a RoI whose size is not finite are 0, with any number of samples.
    samples = samples.nan_to_num(1, 1, 1).clamp(min=1).long()
    key = samples[:, 0] << 32 | samples[:, 1]
    for one in key.unique():
        own = (key == one).nonzero()[:, 0]
        number = tuple(samples[own[0]].tolist())
        pixels = 4 * math.prod(sampling.output_size) * math.prod(number)
        for some in own.split(max(1, ENTRIES // pixels)):
            coordinates = _samples(boxes[some], sizes[some], number, sampling)
            yield Entries(some, *_bilinear(*coordinates, boxes[some, 0], shape))


def _samples(rois: Tensor, sizes: Tensor, samples: tuple[int, int], sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Coordinates y and x of samples in pixels of the map, (n, bins down, bins across, samples down, samples across).

    Args:
        rois: (n, 6).
        sizes: Their height and width in pixels of the map, (n, 2).
        samples: Of a bin along height and width.
        sampling: How features are sampled.
    """
    down, across = ((torch.arange(bins * number, device=rois.device) + 0.5).to(rois) / (bins * number) - 0.5
                    for bins, number in zip(sampling.output_size, samples, strict=True))
    down = sizes[:, :1] * down
    across = sizes[:, 1:] * across
    angle = -rois[:, 5:] if sampling.clockwise else rois[:, 5:]
    x, y = (rois[:, 1:3] * sampling.spatial_scale - (0.5 if sampling.aligned else 0.0)).split(1, 1)

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        return (rows.view(len(rois), sampling.output_size[0], 1, samples[0], 1)
                + columns.view(len(rois), 1, sampling.output_size[1], 1, samples[1]))
    cos, sin = angle.cos(), angle.sin()
    return at(y + down * cos, -across * sin), at(x + down * sin, across * cos)


def _bilinear(y: Tensor, x: Tensor, images: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Flat indices of the four pixels around each sample, and their shares of the mean of a bin.

    Args:
        y: (n, bins down, bins across, samples down, samples across).
        x: Likewise.
        images: Index of the image, (n, ).
        shape: Of the maps.

    Returns:
        Pixels and weights, (n * bins, samples * 4) each.
    """
    height, width = shape[2:]
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    # A coordinate that is not finite must not become an index.
    y, x = y.where(inside, 0).clamp(0, height - 1), x.where(inside, 0).clamp(0, width - 1)
    top, left = y.long(), x.long()
    below, right = y - top, x - left
    first = (images.long().view(-1, 1, 1, 1, 1) * height + top) * width + left
    to_below, to_right = (top < height - 1) * width, (left < width - 1).long()
    pixels = [first, first + to_right, first + to_below, first + to_below + to_right]
    weights = [(1 - below) * (1 - right), (1 - below) * right, below * (1 - right), below * right]
    share = inside.to(y) / math.prod(y.shape[3:])
    return tuple(torch.stack(four, -1).flatten(3).flatten(0, 2) for four in (pixels, [share * one for one in weights]))


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))

"""RoIAlign of rotated boxes as a product with a sparse matrix, which ``embedding_bag`` computes."""
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

ENTRIES = 1 << 22
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
    flat = _at_least_float32(features.permute(0, 2, 3, 1)).reshape(-1, channels)
    pooled = flat.new_zeros(len(rois), height * width, channels)
    for part in entries(rois, features.shape, sampling):
        bins = embedding_bag(part.pixels, flat, mode='sum', per_sample_weights=part.weights.to(flat))
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
    bins = _at_least_float32(gradient.permute(0, 2, 3, 1)).reshape(len(rois), -1, channels)
    flat = bins.new_zeros(batch * height * width, channels)
    for part in entries(rois, shape, sampling):
        # The transposed matrix: of each pixel the bins that it is part of.
        order = part.pixels.flatten().argsort()
        pixels, counts = part.pixels.flatten()[order].unique_consecutive(return_counts=True)
        flat[pixels] += embedding_bag(
            order // part.pixels.shape[1], bins[part.rois].flatten(0, 1), counts.cumsum(0) - counts, mode='sum',
            per_sample_weights=part.weights.flatten()[order].to(flat))
    return flat.view(batch, height, width, channels).permute(0, 3, 1, 2)


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
    groups, group_of = samples.clamp(min=1).long().unique(dim=0, return_inverse=True)
    for index, (down, across) in enumerate(groups.tolist()):
        own = (group_of == index).nonzero()[:, 0]
        of_one = sampling.output_size[0] * sampling.output_size[1] * down * across * 4
        for some in own.split(max(1, ENTRIES // of_one)):
            yield Entries(some, *_bilinear(*_samples(boxes[some], sizes[some], (down, across), sampling),
                                           boxes[some, 0], shape))


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
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    top, left = y.floor(), x.floor()
    below, right = y - top, x - left
    row = (images.view(-1, 1, 1, 1, 1) * height + top) * width
    next_row, step = torch.where(top < height - 1, width, 0), left < width - 1
    share = inside / (y.shape[3] * y.shape[4])
    weights = [(1 - below) * (1 - right), (1 - below) * right, below * (1 - right), below * right]
    first = row.long() + left.long()
    pixels = [first, first + step, first + next_row, first + next_row + step]
    bins = y.shape[0] * y.shape[1] * y.shape[2]
    return (torch.stack(pixels, -1).view(bins, -1), torch.stack([share * one for one in weights], -1).view(bins, -1))


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))

"""Score images with a segmentor: entropy, and the nearest prototype."""
import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn import functional as F

from s5_mm.models.networks import evaluated_network, evaluating, image_divisor
from s5_mm.models.segmentors.image_metas import image_metas

from .entropy import mean_entropy
from .loading import Batch, Failure, Group
from .prototypes import Prototypes, assign, image_features

SHORTEST_SIDE = 32


class Scores(NamedTuple):
    """Scores of the images of one batch, N that could be read.

    Attributes:
        index: (N,), int64, indices into the pool.
        entropy: (N,), fp32, see :func:`s5_mm.curation.mean_entropy`.
        cluster: (N,), int64; -1 without prototypes.
        similarity: (N,), fp32, cosine; NaN without prototypes.
        size: (N, 2), int64, (height, width) in pixels, as in the file.
        features: (N, C), fp32, of unit length; C = 0 unless kept.
        failures: The images that could not be scored.
    """

    index: np.ndarray
    entropy: np.ndarray
    cluster: np.ndarray
    similarity: np.ndarray
    size: np.ndarray
    features: np.ndarray
    failures: list[Failure]


def score(model: nn.Module,
          batches: Iterable[Batch],
          prototypes: Prototypes | None = None,
          background: int | None = None,
          renormalize: bool = False,
          amp: bool = False,
          keep_features: bool = False) -> Iterator[Scores]:
    """Score what a loader gives.

    Args:
        model: An mmseg ``EncoderDecoder`` or a semi-supervised model such as :class:`s5_mm.FixMatchSegmentor`, of which
            the evaluated network (the teacher, if there is one) scores. It runs in eval mode; its mode is restored.
        batches: From :func:`s5_mm.curation.loading.build_loader`.
        prototypes: To assign images to; ``None``: images are not assigned.
        background: See :func:`s5_mm.curation.mean_entropy`.
        renormalize: See :func:`s5_mm.curation.mean_entropy`.
        amp: Whether the model runs in bfloat16. The entropy is computed in fp32 in any case.
        keep_features: Whether to return features.

    Yields:
        One for each batch, in order.
    """
    network = evaluated_network(model)
    for batch in batches:
        with evaluating(network):
            found = [_score_group(model, network, group, prototypes, background, renormalize, amp, keep_features)
                     for group in batch.groups]
        yield _joined(found, batch.failures)


def _score_group(model: nn.Module, network: nn.Module, group: Group, prototypes: Prototypes | None,
                 background: int | None, renormalize: bool, amp: bool, keep_features: bool) -> tuple[np.ndarray, ...]:
    entropy, features = score_images(model, network, group.pixels, background, renormalize, amp, group.data)
    if prototypes is None:
        cluster, similarity = torch.full(entropy.shape, -1), torch.full(entropy.shape, torch.nan)
    else:
        cluster, similarity = assign(features, prototypes)
    kept = F.normalize(features, dim=1) if keep_features else features[:, :0]
    entropy, cluster, similarity, kept = (tensor.cpu().numpy() for tensor in (entropy, cluster, similarity, kept))
    return group.indices, entropy, cluster, similarity, group.sizes, kept


@torch.no_grad()
def score_images(model: nn.Module, network: nn.Module, pixels: Tensor, background: int | None = None,
                 renormalize: bool = False, amp: bool = False,
                 has_data: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
    """Entropy and feature of images of one size.

    They are padded, after normalization, to multiples of the encoder's divisor and at least 32 px; padding and pixels
    without data count in neither number.

    Args:
        model: Has the data preprocessor.
        network: The network, in eval mode.
        pixels: (B, 3, H, W), uint8, blue, green, red.
        background: See :func:`score`.
        renormalize: See :func:`score`.
        amp: See :func:`score`.
        has_data: (B, H, W), bool, which pixels have data; ``None``: all.

    Returns:
        Entropy (B,) and features (B, C), fp32.
    """
    data = dict(inputs=list(pixels), data_samples=[SegDataSample() for _ in pixels])
    inputs = _padded(model.data_preprocessor(data)['inputs'], image_divisor(network))
    valid = _valid(inputs, *pixels.shape[2:], has_data)
    with _outputs_of(network.backbone) as outputs, torch.autocast(inputs.device.type, torch.bfloat16, enabled=amp):
        logits = network.encode_decode(inputs, image_metas(inputs))
    return mean_entropy(logits, background, renormalize, valid), image_features(outputs[-1], valid)


def _padded(inputs: Tensor, divisor: int) -> Tensor:
    """Inputs, which hold the image at the upper left, of a size that fits."""
    missing = [-(-max(side, SHORTEST_SIDE) // divisor) * divisor - side for side in inputs.shape[2:]]
    return F.pad(inputs, (0, missing[1], 0, missing[0]))


def _valid(inputs: Tensor, height: int, width: int, has_data: np.ndarray | None) -> Tensor | None:
    """Where the inputs are image with data, (B, H, W); ``None``: everywhere."""
    if has_data is None and inputs.shape[2:] == (height, width):
        return None
    valid = torch.zeros(len(inputs), *inputs.shape[2:], dtype=torch.bool, device=inputs.device)
    valid[:, :height, :width] = True if has_data is None else torch.from_numpy(has_data).to(valid.device)
    return valid


@contextlib.contextmanager
def _outputs_of(module: nn.Module) -> Iterator[list]:
    """Collect what a module returns while the block runs."""
    outputs: list = []
    handle = module.register_forward_hook(lambda _, __, output: outputs.append(output))
    try:
        yield outputs
    finally:
        handle.remove()


def _joined(found: list[tuple[np.ndarray, ...]], failures: list[Failure]) -> Scores:
    """Join the groups of a batch; images whose entropy is not finite become failures."""
    if not found:
        empty = np.zeros(0, dtype=np.int64)
        return Scores(empty, empty.astype(np.float32), empty, empty.astype(np.float32), np.zeros((0, 2), np.int64),
                      np.zeros((0, 0), np.float32), failures)
    arrays = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    good = np.isfinite(arrays[1])
    failed = [Failure(int(index), 'the model gives no finite entropy for it') for index in arrays[0][~good]]
    return Scores(*(array[good] for array in arrays), [*failures, *failed])

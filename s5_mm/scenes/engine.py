"""What computes class probabilities on windows of a scene.

Shapes: B windows of H x W pixels with C bands, K classes.
"""
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from s5_mm.models.networks import evaluated_network, image_divisor

AUTOCAST = dict(fp32=None, bf16=torch.bfloat16)
"""Precisions of torch's engines -> type that autocast computes in."""


class Engine(Protocol):
    """Runs a segmentor."""

    @property
    def divisor(self) -> int:
        """Sides of windows must be multiples of it, in pixels."""

    @property
    def device(self) -> torch.device:
        """Where its probabilities are."""

    def probabilities(self, images: np.ndarray) -> Tensor:
        """Probabilities (B, K, H, W), float32, of windows (B, C, H, W), uint8, three bands as blue, green, red."""


class TorchEngine:
    """A segmentor as it was trained.

    Args:
        network: It has ``data_preprocessor``, ``encode_decode`` and ``backbone``, as mmseg's do.
        dataset: Which of the datasets that it knows.
        precision: A key of :data:`AUTOCAST`.
    """

    def __init__(self, network: nn.Module, dataset: str | None = None, precision: str = 'fp32') -> None:
        self.network, self.dataset, self.precision = network, dataset, precision

    @property
    def divisor(self) -> int:
        """The encoder's."""
        return image_divisor(evaluated_network(self.network))

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters(), torch.empty(0)).device

    @torch.inference_mode()
    def probabilities(self, images: np.ndarray) -> Tensor:
        """See :meth:`Engine.probabilities`."""
        height, width = images.shape[-2:]
        meta = dict(img_shape=(height, width), ori_shape=(height, width), dataset_name=self.dataset)
        data = self.network.data_preprocessor(
            dict(inputs=as_inputs(images), data_samples=[SegDataSample(metainfo=meta) for _ in images]))
        metas = [sample.metainfo for sample in data['data_samples']]
        with autocast(self.device, self.precision):
            logits = self.network.encode_decode(data['inputs'], metas)
        return class_shares(logits.float()[..., :height, :width])


def as_inputs(images: np.ndarray) -> list[Tensor]:
    """Images (B, C, H, W), uint8, as data preprocessors take them."""
    return [*torch.from_numpy(np.ascontiguousarray(images))]


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Where torch computes in a precision of :data:`AUTOCAST`."""
    dtype = AUTOCAST[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def class_shares(logits: Tensor) -> Tensor:
    """Probabilities of logits (B, K, H, W); one channel is that of the second of two classes."""
    if logits.shape[1] > 1:
        return logits.softmax(dim=1)
    second = logits.sigmoid()
    return torch.cat([1 - second, second], dim=1)

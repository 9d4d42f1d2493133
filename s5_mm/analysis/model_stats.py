"""Parameters and multiply-adds of a model, computed from its config."""
import contextlib
import sys
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from s5_mm.models.backbones import Encoder
from s5_mm.registry import MODELS

SIDE_PARTS = ('auxiliary_head', )


class ModelStats(NamedTuple):
    """Size and cost of a model.

    Attributes:
        parameters: Number of parameters, trainable and frozen.
        encoder: Parameters of the backbone.
        decoder: Parameters of the neck and the heads that are needed for prediction.
        multiply_adds: Multiply-adds (MACs) for one image, in convolutions, linear layers and attention. For a two-stage
            detector, with the largest number of proposals in testing.
        size: Height and width of that image, in px.
        dataset: Dataset whose expert and decoder the image uses; ``None`` for a model of one dataset.
    """

    parameters: int
    encoder: int
    decoder: int
    multiply_adds: int
    size: tuple[int, int]
    dataset: str | None = None

    def as_dict(self) -> dict:
        """The exact figures and rounded ones: parameters in millions, multiply-adds in billions (G)."""
        return dict(
            parameters=self.parameters,
            parameters_m=round(self.parameters / 1e6, 1),
            encoder=self.encoder,
            encoder_m=round(self.encoder / 1e6, 1),
            decoder=self.decoder,
            decoder_m=round(self.decoder / 1e6, 1),
            multiply_adds=self.multiply_adds,
            multiply_adds_g=round(self.multiply_adds / 1e9, 1),
            size=list(self.size),
            dataset=self.dataset)


def count_model(cfg: Config, size: tuple[int, int], dataset: str | None = None) -> ModelStats:
    """Count a model without allocating its weights; no checkpoint is needed.

    For a training wrapper such as :class:`s5_mm.FixMatchSegmentor`, the network inside is counted. Multiply-adds are
    half the operations of torch's counter, which includes the matrix products of ``scaled_dot_product_attention``.

    Args:
        cfg: Config of a training run.
        size: Height and width of the image in pixels.
        dataset: Dataset of the image, for a model of several datasets; default: the first.

    Raises:
        ValueError: The config has no model, the model does not take images of that size or has no such dataset.
    """
    network = _network_of(_model_of(cfg))
    dataset = _dataset_of(network, dataset)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = _built(network)
    bands = model.backbone.in_channels if isinstance(model.backbone, Encoder) else 3
    image = torch.empty(1, bands, *size, device='meta')
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(image, dataset and [SegDataSample(metainfo=dict(dataset_name=dataset))], mode='tensor')
        _classify_proposals(model, dataset)
    parts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in model.named_children()}
    decoder = sum(number for name, number in parts.items() if name not in ('backbone', *SIDE_PARTS))
    return ModelStats(sum(parts.values()), parts['backbone'], decoder, counter.get_total_flops() // 2, tuple(size),
                      dataset)


def count_parameters(cfg: Config) -> int:
    """Number of parameters of the network that a config trains, of all datasets.

    Raises:
        ValueError: The config has no model.
    """
    network = _network_of(_model_of(cfg))
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return sum(parameter.numel() for parameter in _built(network).parameters())


def _built(network: dict) -> nn.Module:
    """A network without values, for predictions of normalized images."""
    network = {key: value for key, value in network.items() if key != 'data_preprocessor'}
    # The hosts print messages on optional parts when they import; standard output is for the results of tools.
    with torch.device('meta'), contextlib.redirect_stdout(sys.stderr):
        return MODELS.build(network).eval()


def _classify_proposals(model: nn.Module, dataset: str | None) -> None:
    """Run a detector's second stage, which its forward pass does not reach without data."""
    detector = getattr(model, 'detectors', {dataset: model})[dataset]
    if not getattr(detector, 'with_roi_head', False):
        return
    heads = detector.roi_head.bbox_head
    for head in heads if isinstance(heads, nn.ModuleList) else [heads]:
        number = detector.test_cfg.rpn.max_per_img
        head(torch.empty(number, head.in_channels, *head.roi_feat_size, device='meta'))


def input_size(cfg: Config) -> tuple[int, int]:
    """Height and width at which a config trains.

    Args:
        cfg: Config of a training run.

    Raises:
        ValueError: None of the data preprocessor's ``size``, ``crop_size`` and the backbone's ``img_size`` is set.
    """
    model = _model_of(cfg)
    preprocessor, backbone = model.get('data_preprocessor') or {}, _network_of(model).get('backbone', {})
    size = preprocessor.get('size') or cfg.get('crop_size') or backbone.get('img_size')
    if size is None:
        raise ValueError(f'{cfg.filename} sets none of model.data_preprocessor.size, crop_size and '
                         'model.backbone.img_size; give the size of images with --size.')
    return (size, size) if isinstance(size, int) else tuple(size)


def _model_of(cfg: Config) -> dict:
    if 'model' not in cfg:
        raise ValueError(f'{cfg.filename} has no model; give the config of a training run.')
    return cfg.model


def _dataset_of(network: dict, dataset: str | None) -> str | None:
    """The dataset whose image is counted."""
    known = list(network.get('datasets', ()))
    if dataset is not None and dataset not in known:
        raise ValueError(f'The model has no dataset {dataset!r}; its datasets are {known}.')
    return dataset or (known[0] if known else None)


def _network_of(model: dict) -> dict:
    """The network inside a training wrapper."""
    return model.get('segmentor', model)

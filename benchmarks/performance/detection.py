"""The detector's encoder with its neck, and a whole step of detection on two datasets."""
from collections.abc import Callable

import published_style
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmrotate.structures import RotatedBoxes
from torch import Tensor, nn

from s5_mm.models import Encoder
from s5_mm.registry import MODELS

from .measuring import Case, Settings
from .training import prepare, published_arch, training_case

DETECTION = 'configs/mdf_det/moe-mdf_vit-b-s4p_oriented-rcnn_4xb4-12e_dior-dota2-1024x1024.py'
BOXES = 20


class EncoderWithNeck(nn.Module):
    """Images to the levels that a detector's heads see."""

    def __init__(self, encoder: nn.Module, neck: dict) -> None:
        super().__init__()
        self.encoder, self.neck = encoder, MODELS.build(neck)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Levels of images (B, 3, H, W)."""
        return self.neck(self.encoder(images))


class PublishedRoute(Encoder):
    """The baseline's encoder in the place of ours: a forward pass for each dataset."""

    def __init__(self, datasets: tuple[str, ...], **arch: object) -> None:
        super().__init__()
        self.datasets = datasets
        self.encoder = published_style.Encoder(experts=len(datasets), **arch)

    def forward(self, images: Tensor, route: object) -> tuple[Tensor, ...]:
        """Levels of grouped images (B, 3, H, W)."""
        parts = [self.encoder(part, self.datasets.index(name))
                 for name, part in zip(route.names, images.split(route.sizes), strict=True)]
        return tuple(map(torch.cat, zip(*parts, strict=True)))


def det_backbone(settings: Settings, case: str = 'det_backbone') -> Case:
    """Forward, backward and update of encoder and neck. The neck is the same one on both sides."""
    side, batch = settings.sides[case], settings.batches[case]
    cfg = Config.fromfile(DETECTION).model
    prepare(cfg, settings, side)
    encoders = dict(ours=MODELS.build(cfg.backbone),
                    baseline=published_style.Encoder(**published_arch(settings.arch, side)))
    models = {way: EncoderWithNeck(encoder, cfg.neck).to(settings.device) for way, encoder in encoders.items()}
    images = torch.randn(batch, 3, side, side, device=settings.device)

    def loss_of(way: str) -> Callable[[], Tensor]:
        return lambda: sum(level.float().square().mean() for level in models[way](images))
    return training_case(settings, case, models['ours'], loss_of('ours'), models['baseline'], loss_of('baseline'),
                         images=batch)


def det_step(settings: Settings, case: str = 'det_step') -> Case:
    """A whole step of detection on two datasets. Necks and heads are the same on both sides, the encoder differs."""
    side, batch = settings.sides[case], settings.batches[case]
    cfg = Config.fromfile(DETECTION).model
    prepare(cfg, settings, side)
    ours, baseline = (MODELS.build(cfg).train() for _ in range(2))
    baseline.backbone = PublishedRoute(
        ours.datasets, part=cfg.experts.part_features, **published_arch(settings.arch, side))
    ours.to(settings.device), baseline.to(settings.device)
    classes = [ours.settings[name].num_classes for name in ours.datasets]
    samples = [box_sample(name, number, side, settings.device)
               for name, number in zip(ours.datasets, classes, strict=True) for _ in range(batch)]
    images = torch.randn(len(samples), 3, side, side, device=settings.device)

    def loss_of(model: nn.Module) -> Callable[[], Tensor]:
        return lambda: model.parse_losses(model.loss(images, samples))[0]
    return training_case(settings, case, ours, loss_of(ours), baseline, loss_of(baseline), images=len(samples))


def box_sample(source: str, num_classes: int, side: int, device: str) -> DetDataSample:
    """An image's boxes, rotated and anywhere."""
    sizes = torch.rand(BOXES, 2) * side / 8 + side / 32
    boxes = torch.cat([torch.rand(BOXES, 2) * side, sizes, torch.rand(BOXES, 1) - 0.5], dim=1).to(device)
    sample = DetDataSample(metainfo=dict(
        dataset_name=source, img_shape=(side, side), batch_input_shape=(side, side), pad_shape=(side, side),
        ori_shape=(side, side), scale_factor=(1.0, 1.0)))
    sample.gt_instances = InstanceData(
        bboxes=RotatedBoxes(boxes), labels=torch.randint(num_classes, (BOXES, ), device=device))
    sample.ignored_instances = InstanceData(
        bboxes=RotatedBoxes(boxes[:0]), labels=torch.zeros(0, dtype=torch.int64, device=device))
    return sample

"""Tiny detectors of datasets ``red`` and ``green``, and batches for them; also for processes that tests start."""
import s5_mm  # noqa: F401  serves mmcv.ops, so it comes before mmrotate

# isort: split
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmrotate.structures.bbox import RotatedBoxes
from running import ROOT

CONFIG = ROOT / 'configs/_base_/models/mdf_oriented-rcnn_vit-moe-t.py'
ARCH = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32, out_indices=(0, 1, 2, 3))


def detector(**settings):
    """Config on 64 px images, with experts of 4 channels. Samplers take all, so that nothing is random."""
    cfg = Config.fromfile(CONFIG).model
    cfg.backbone.update(arch=ARCH, img_size=64)
    cfg.experts.part_features = 4
    cfg.neck.update(out_channels=8)
    cfg.rpn_head.update(in_channels=8, feat_channels=8)
    cfg.roi_head.bbox_roi_extractor.out_channels = 8
    cfg.roi_head.bbox_head.update(in_channels=8, fc_out_channels=16)
    cfg.train_cfg.rpn.sampler.num = cfg.train_cfg.rcnn.sampler.num = 100_000
    cfg.train_cfg.rpn_proposal.update(nms_pre=60, max_per_img=40)
    cfg.test_cfg.rpn.update(nms_pre=60, max_per_img=40)
    cfg.test_cfg.rcnn.update(score_thr=0.0, max_per_img=20)
    cfg.datasets = dict(red=dict(num_classes=3), green=dict(num_classes=4))
    # An update would merge.
    return cfg.to_dict() | settings


def sample(source, seed=0, boxes=3, side=64):
    """A data sample with random boxes of the classes 0-2; from ``None``: of no dataset."""
    rng = torch.Generator().manual_seed(seed)
    size = (side, side)
    meta = dict(img_shape=size, pad_shape=size, ori_shape=size, batch_input_shape=size, scale_factor=(1.0, 1.0))
    made = DetDataSample(metainfo=meta if source is None else dict(meta, dataset_name=source))
    random = torch.rand(boxes, 5, generator=rng)
    values = random * torch.tensor([44, 44, 20, 8, 3.1]) + torch.tensor([10, 10, 10, 5, -1.55])
    made.gt_instances = InstanceData(
        bboxes=RotatedBoxes(values), labels=torch.randint(0, 3, (boxes, ), generator=rng))
    made.ignored_instances = InstanceData(bboxes=RotatedBoxes(torch.zeros(0, 5)), labels=torch.zeros(0).long())
    return made


def batch(names, seed=3, **kwargs):
    """Images and samples of the named datasets."""
    rng = torch.Generator().manual_seed(seed)
    samples = [sample(name, 100 * seed + i, **kwargs) for i, name in enumerate(names)]
    return torch.randn(len(names), 3, 64, 64, generator=rng), samples

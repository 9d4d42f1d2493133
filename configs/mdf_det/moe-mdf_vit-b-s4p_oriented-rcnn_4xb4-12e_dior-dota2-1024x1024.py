# MoE-MDF detection of S5 (arXiv 2508.12409): one ViT-B with experts of 256 channels and an Oriented R-CNN each for DIOR-R
# and DOTA-v2.0, from S4P weights. A step sees 2 images of each on each of 4 GPUs.
_base_ = [
    '../_base_/models/mdf_oriented-rcnn_vit-moe-b.py', '../_base_/datasets/dior_r_dota_v2.py',
    '../_base_/schedules/adamw_12e.py', '../_base_/runtime/detection.py'
]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', per_batch=2),  # of each dataset
    dataset=dict(type='s5_mm.MultiSourceDataset', sources=_base_.detection_sources))
val_dataloader = _base_.detection_loaders
test_dataloader = val_dataloader
val_evaluator = _base_.detection_evaluators
test_evaluator = val_evaluator
auto_scale_lr = dict(base_batch_size=16)

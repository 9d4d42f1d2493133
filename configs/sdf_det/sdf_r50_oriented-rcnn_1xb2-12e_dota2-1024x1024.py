# Oriented R-CNN with ResNet-50 on DOTA-v2.0: network and schedule of mmrotate's
# oriented-rcnn-le90_r50_fpn_1x_dota, a quick check of data, loops and metrics against plain mmrotate.
_base_ = [
    '../_base_/models/mdf_oriented-rcnn_r50.py', '../_base_/datasets/dior_r_dota_v2.py',
    '../_base_/schedules/adamw_12e.py', '../_base_/runtime/detection.py'
]
model = dict(datasets=dict(_delete_=True, dota=dict(num_classes=18)))
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', per_batch=2),
    dataset=dict(type='s5_mm.MultiSourceDataset', sources=dict(dota=_base_.detection_sources.dota)))
val_dataloader = test_dataloader = dict(dota=_base_.detection_loaders.dota)
val_evaluator = test_evaluator = dict(dota=_base_.detection_evaluators.dota)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=0.0001),
    clip_grad=dict(max_norm=35, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 3, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', gamma=0.1, milestones=[8, 11], by_epoch=True, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=2)

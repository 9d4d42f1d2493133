# MoE-MDF detection in minutes on a CPU: one tiny network with experts for synthetic DIOR-R and DOTA, from the
# quickstart's S4P.
_base_ = [
    '../_base_/models/mdf_oriented-rcnn_vit-moe-t.py', '../_base_/datasets/dior_r_dota_synthetic.py',
    '../_base_/schedules/adamw_quickstart.py', '../_base_/runtime/detection.py'
]
iterations = 400
randomness = dict(seed=0)
model = dict(init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='work_dirs/quickstart/s4p/iter_500.pth'))
optim_wrapper = dict(clip_grad=dict(max_norm=35))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', per_batch=4),  # of each dataset
    dataset=dict(type='s5_mm.MultiSourceDataset', sources=_base_.detection_sources))
val_dataloader = _base_.detection_loaders
test_dataloader = val_dataloader
val_evaluator = _base_.detection_evaluators
test_evaluator = val_evaluator
train_cfg = dict(max_iters=iterations, val_interval=iterations)
val_cfg = dict(type='s5_mm.MultiDatasetValLoop')
test_cfg = dict(type='s5_mm.MultiDatasetTestLoop')
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=iterations))

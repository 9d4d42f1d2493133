# MoE-MDF in minutes on a CPU: one tiny network with experts for four synthetic datasets, from the quickstart's S4P.
_base_ = [
    '../_base_/models/mdf_upernet_vit-moe-t.py', '../_base_/datasets/landcover4_synthetic.py',
    '../_base_/schedules/adamw_quickstart.py', '../_base_/runtime/multi_dataset.py'
]
iterations = 100
randomness = dict(seed=0)
model = dict(
    datasets=dict(vaihingen=dict(start=0.0)),
    init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='work_dirs/quickstart/s4p/iter_500.pth'))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0),
]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
val_cfg = dict(type='s5_mm.MultiDatasetValLoop')
test_cfg = dict(type='s5_mm.MultiDatasetTestLoop')
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=iterations))

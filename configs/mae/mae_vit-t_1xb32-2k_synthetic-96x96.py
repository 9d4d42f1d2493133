# MAE pre-training of the quickstart's small network on its pool, minutes on a CPU.
_base_ = [
    '../_base_/models/mae_vit-b.py', '../_base_/datasets/isaid_synthetic.py', '../_base_/schedules/adamw_quickstart.py',
    '../_base_/runtime/iter_based.py'
]
iterations = 2000
randomness = dict(seed=0)
model = dict(
    arch='tiny', img_size=96, patch_size=8, decoder=dict(embed_dims=64, num_layers=2, num_heads=4))
train_dataloader = dict(
    batch_size=32,
    sampler=dict(per_batch=dict(_delete_=True, unlabeled=32)),
    dataset=dict(sources=dict(_delete_=True, unlabeled=_base_.unlabeled)))
val_dataloader = test_dataloader = None
val_evaluator = test_evaluator = None
val_cfg = test_cfg = None
optim_wrapper = dict(optimizer=dict(lr=1.5e-3, betas=(0.9, 0.95), weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0),
]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
default_hooks = dict(checkpoint=dict(interval=500, save_best=None, rule=None))
custom_hooks = [*_base_.custom_hooks, dict(type='s5_mm.ReconstructionHook', interval=200)]

# MAE pre-training of ViT-B on a pool of images without labels, the stage before S4P: 8 GPUs x 64 crops of 512 px.
# Use --auto-scale-lr: the rate is for batches of 4096.
_base_ = [
    '../_base_/models/mae_vit-b.py', '../_base_/datasets/pool.py', '../_base_/schedules/adamw_mae.py',
    '../_base_/runtime/iter_based.py'
]
default_hooks = dict(checkpoint=dict(save_best=None, rule=None))
custom_hooks = [*_base_.custom_hooks, dict(type='s5_mm.ReconstructionHook', interval=1000)]

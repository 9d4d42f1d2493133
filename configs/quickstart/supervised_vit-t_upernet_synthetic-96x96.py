# Supervised training of a tiny network on a few labeled synthetic scenes; minutes on a CPU.
_base_ = ['./start_vit-t_upernet_synthetic-96x96.py']
iterations = 800
model = dict(init_cfg=dict(type='Pretrained', checkpoint='configs/quickstart/start.safetensors'))
optim_wrapper = dict(optimizer=dict(lr=6e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=50, end=iterations),
]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
default_hooks = dict(checkpoint=dict(interval=iterations))

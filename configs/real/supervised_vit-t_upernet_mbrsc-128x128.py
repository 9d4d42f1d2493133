# Dubai with an eighth of its labels, supervised, from the encoder of the quickstart's start; minutes on a CPU.
_base_ = [
    '../_base_/models/upernet_vit-t.py', '../_base_/datasets/mbrsc.py', '../_base_/schedules/adamw_quickstart.py',
    '../_base_/runtime/iter_based.py'
]
iterations = 800
randomness = dict(seed=0)
data_preprocessor = dict(size=(128, 128))
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(
        img_size=128,
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='configs/quickstart/start.safetensors')),
    decode_head=dict(num_classes=5))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0),
]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
default_hooks = dict(checkpoint=dict(interval=iterations))

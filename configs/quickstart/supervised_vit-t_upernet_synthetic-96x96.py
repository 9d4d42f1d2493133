# Supervised training goes on from start.safetensors with the same labels; minutes on a CPU. Color jitter is what helps
# it most where the validation images look different from the labeled ones.
_base_ = ['./start_vit-t_upernet_synthetic-96x96.py']
iterations = 500
randomness = dict(seed=0)
model = dict(
    init_cfg=dict(type='Pretrained', checkpoint='{{ fileDirname }}/start.safetensors'),
    decode_head=dict(loss_decode=dict(class_weight=None)))
optim_wrapper = dict(optimizer=dict(lr=3e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0),
]
labeled_pipeline = [*_base_.labeled_pipeline[:-1], dict(type='PhotoMetricDistortion'), _base_.labeled_pipeline[-1]]
train_dataloader = dict(
    batch_size=8, sampler=dict(per_batch=dict(labeled=8)), dataset=dict(sources=dict(labeled=dict(pipeline=labeled_pipeline))))
train_cfg = dict(max_iters=iterations, val_interval=iterations)
default_hooks = dict(checkpoint=dict(interval=iterations))

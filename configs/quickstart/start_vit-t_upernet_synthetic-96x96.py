# What start.safetensors comes from (benchmarks/make_start.py): a tiny network trained from scratch on the labels.
_base_ = [
    '../_base_/models/upernet_vit-t.py', '../_base_/datasets/isaid_synthetic.py',
    '../_base_/schedules/adamw_quickstart.py', '../_base_/runtime/iter_based.py'
]
iterations = 6000
# Most pixels are background; unweighted, a network this small says nothing else for thousands of iterations.
class_weight = [0.25] + [1.0] * 15
model = dict(decode_head=dict(loss_decode=dict(class_weight=class_weight)))
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0),
]
train_dataloader = dict(batch_size=16, sampler=dict(per_batch=dict(labeled=16)))
train_cfg = dict(max_iters=iterations, val_interval=1000)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=1000, max_keep_ckpts=1))

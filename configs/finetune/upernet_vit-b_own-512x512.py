# Pre-trained weights to your own classes: ViT-B + UperNet on one GPU, see docs/finetune.md.
_base_ = [
    '../_base_/models/upernet_vit-b.py', '../_base_/datasets/own.py', '../_base_/schedules/adamw_finetune.py',
    '../_base_/runtime/iter_based.py'
]
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='pretrain/s4p_vit-b.safetensors')),
    decode_head=dict(norm_cfg=dict(type='BN')))
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=8)

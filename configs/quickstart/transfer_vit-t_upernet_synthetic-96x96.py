# Fine-tune a published encoder on few labels of another style; the file is given as model.backbone.init_cfg.checkpoint.
_base_ = ['./supervised_vit-t_upernet_synthetic-96x96.py']
iterations = 400
data_root = 'data/quickstart/transfer'
optim_wrapper = dict(optimizer=dict(lr=1e-3))
model = dict(
    init_cfg=None,
    decode_head=dict(loss_decode=dict(class_weight=_base_.class_weight)),
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type='Pretrained', checkpoint='work_dirs/quickstart/s4p_encoder.safetensors')))
train_dataloader = dict(dataset=dict(sources=dict(labeled=dict(data_root=data_root))))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0),
]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
default_hooks = dict(checkpoint=dict(interval=iterations))

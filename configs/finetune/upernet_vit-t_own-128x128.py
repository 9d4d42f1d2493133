# The same for a CPU: ViT-T + UperNet on crops of 128 px from the quickstart's weights, minutes.
_base_ = ['./upernet_vit-b_own-512x512.py']
crop_size = (128, 128)
train_pipeline = [dict(step, **(dict(crop_size=crop_size) if step['type'] == 'RandomCrop' else {}))
                  for step in _base_.train_pipeline]
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(
        name='vit-t', img_size=128, drop_path_rate=0.0, with_cp=False,
        init_cfg=dict(checkpoint='configs/quickstart/start.safetensors')),
    decode_head=dict(channels=32))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=1e-3))
train_dataloader = dict(
    num_workers=1, pin_memory=False, dataset=dict(sources=dict(labeled=dict(pipeline=train_pipeline))))
val_dataloader = test_dataloader = dict(num_workers=1)
train_cfg = dict(max_iters=800, val_interval=200)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0),
]
default_hooks = dict(checkpoint=dict(interval=200))

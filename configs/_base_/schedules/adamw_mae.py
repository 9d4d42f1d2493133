# 200k iterations as MAE has them: 5 % warm-up, cosine to 0; the rate is for batches of 4096.
optim_wrapper = dict(
    type='s5_mm.Bf16OptimWrapper',
    optimizer=dict(type='AdamW', lr=2.4e-3, betas=(0.9, 0.95), weight_decay=0.05, fused=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, custom_keys=dict(
        pos_embed=dict(decay_mult=0.0), cls_token=dict(decay_mult=0.0), mask_token=dict(decay_mult=0.0))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=10000),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=200000, val_interval=200000)
val_cfg = test_cfg = None
auto_scale_lr = dict(base_batch_size=4096)

# 120k iterations of AdamW in bfloat16, cosine to 0. Norms and the position table do not decay. Without `end`
# the schedule ends with training.
optim_wrapper = dict(
    type='s5_mm.Bf16OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys=dict(pos_embed=dict(decay_mult=0.0))))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=120000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

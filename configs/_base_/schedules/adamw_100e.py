# Fine-tuning of S5: 100 epochs of the longest dataset, AdamW in bfloat16, cosine to 0. Norms and the position table do
# not decay. Without `end` the schedule ends with training.
optim_wrapper = dict(
    type='s5_mm.Bf16OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys=dict(pos_embed=dict(decay_mult=0.0))))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=0)]
train_cfg = dict(type='s5_mm.LongestEpochTrainLoop', max_epochs=100, val_interval=10)
val_cfg = dict(type='s5_mm.MultiDatasetValLoop')
test_cfg = dict(type='s5_mm.MultiDatasetTestLoop')

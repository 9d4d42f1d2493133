# Detection of S5: 12 epochs of the longest dataset, AdamW in bfloat16; the rate rises over 500 iterations and falls to a
# tenth after epochs 8 and 11. Norms and the position table do not decay. MMEngine turns epochs into iterations.
optim_wrapper = dict(
    type='s5_mm.Bf16OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys=dict(pos_embed=dict(decay_mult=0.0))),
    clip_grad=dict(max_norm=35, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', gamma=0.1, milestones=[8, 11], by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(type='s5_mm.LongestEpochTrainLoop', max_epochs=12, val_interval=4)
val_cfg = dict(type='s5_mm.MultiDatasetValLoop')
test_cfg = dict(type='s5_mm.MultiDatasetTestLoop')

# MAE pre-training of the tiny ViT on the unlabeled pool, as the paper starts from MAE weights.
default_scope = 'mmpretrain'
custom_imports = dict(imports=['s5_mm', 'mmpretrain.models'], allow_failed_imports=False)
data_root = 'data/quickstart'

data_preprocessor = dict(
    type='SelfSupDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
model = dict(
    type='MAE',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='MAEViT',
        arch=dict(embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384),
        img_size=96,
        patch_size=8,
        mask_ratio=0.75),
    neck=dict(
        type='MAEPretrainDecoder',
        num_patches=144,
        patch_size=8,
        embed_dim=96,
        decoder_embed_dim=64,
        decoder_depth=2,
        decoder_num_heads=4),
    head=dict(
        type='MAEPretrainHead', norm_pix=True, patch_size=8, loss=dict(type='PixelReconstructionLoss', criterion='L2')))

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='s5_mm.UnlabeledDataset',
        source=f'{data_root}/unlabeled',
        pipeline=[
            dict(type='s5_mm.LoadImage'),
            dict(type='RandomResizedCrop', scale=96, crop_ratio_range=(0.15, 0.6)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ]))
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=200, end=4000),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4000, val_interval=4000)
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl'))
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=100), checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1000))
randomness = dict(seed=0)

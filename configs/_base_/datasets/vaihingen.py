# ISPRS Vaihingen (infrared, red, green) in 512 px crops, made by data_prep/vaihingen.py; its score is mIoU over five
# classes. Files that follow the published ids (0-4, 5 ignored): label_rule='published' in
# train_dataloader.dataset.sources.vaihingen and {val,test}_dataloader.vaihingen.dataset of your config.
vaihingen_train_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.LoadLabels'),
    dict(type='s5_mm.RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=(512, 512)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    # Turns by 90 degrees: all eight positions of an image are equally likely then.
    dict(type='RandomRotFlip', rotate_prob=0.0, flip_prob=1.0),
    dict(type='s5_mm.RandomPhotometric'),
    dict(type='PackSegInputs'),
]
vaihingen_test_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.LoadLabels'),
    dict(type='PackSegInputs'),
]
vaihingen_train = dict(
    type='s5_mm.ISPRSDataset',
    data_root='data/vaihingen',
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    pipeline=vaihingen_train_pipeline)
vaihingen_val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.ISPRSDataset',
        data_root='data/vaihingen',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        test_mode=True,
        pipeline=vaihingen_test_pipeline))
vaihingen_val_evaluator = [dict(type='s5_mm.IoUMetric', iou_metrics=['mIoU', 'mFscore'])]

# LoveDA, 1024 px, made by data_prep/loveda.py: validation on val. For the score of the server, train on
# loveda_trainval and predict loveda_test_dataloader, whose images have no labels.
loveda_train_pipeline = [
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
loveda_test_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.LoadLabels'),
    dict(type='PackSegInputs'),
]
loveda_train = dict(
    type='s5_mm.LoveDADataset',
    data_root='data/loveda',
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    pipeline=loveda_train_pipeline)
loveda_val_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.LoveDADataset',
        data_root='data/loveda',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        test_mode=True,
        pipeline=loveda_test_pipeline))
loveda_val_evaluator = [dict(type='s5_mm.IoUMetric', iou_metrics=['mIoU', 'mFscore'])]

loveda_trainval = dict(
    type='s5_mm.LoveDADataset',
    data_root='data/loveda',
    ann_file='lists/trainval.txt',
    data_prefix=dict(img_path='img_dir', seg_map_path='ann_dir'),
    pipeline=loveda_train_pipeline)
loveda_test_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.LoveDADataset',
        data_root='data/loveda',
        data_prefix=dict(img_path='img_dir/test'),
        test_mode=True,
        pipeline=[dict(type='s5_mm.LoadImage'), dict(type='PackSegInputs')]))

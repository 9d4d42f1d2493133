# iSAID in 512 px crops, made by data_prep/isaid.py: 12 labeled crops a GPU.
data_root = 'data/isaid'
crop_size = (512, 512)
weak_view = [
    dict(type='s5_mm.RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
]
labeled_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.LoadLabels'),
    *weak_view,
    dict(type='PackSegInputs'),
]
unlabeled_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.UnlabeledMask'),
    *weak_view,
    dict(type='PackSegInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'unreadable')),
]
test_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.LoadLabels'),
    dict(type='PackSegInputs'),
]
labeled = dict(
    type='s5_mm.ISAIDDataset',
    data_root=data_root,
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    pipeline=labeled_pipeline)

train_dataloader = dict(
    batch_size=12,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', per_batch=dict(labeled=12)),
    dataset=dict(type='s5_mm.MultiSourceDataset', sources=dict(labeled=labeled)))
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.ISAIDDataset',
        data_root=data_root,
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='s5_mm.S5IoUMetric', iou_metrics=['mIoU'], excluded=('background', ))
test_evaluator = val_evaluator

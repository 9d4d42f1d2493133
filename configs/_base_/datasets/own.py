# Your own dataset in data/mine, as data_prep/curate.py crop --labels writes it: 8 crops of 512 px a step. A config that
# inherits names its classes, see docs/finetune.md.
data_root = 'data/mine'
crop_size = (512, 512)
load = dict(type='s5_mm.LoadGeoTIFF')
augmentation = [
    dict(type='s5_mm.RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    # Turns by 90 degrees: all eight positions of an image are equally likely then.
    dict(type='RandomRotFlip', rotate_prob=0.0, flip_prob=1.0),
    dict(type='PhotoMetricDistortion'),
]
train_pipeline = [load, dict(type='s5_mm.LoadLabels'), *augmentation, dict(type='PackSegInputs')]
test_pipeline = [load, dict(type='s5_mm.LoadLabels'), dict(type='PackSegInputs')]
dataset = dict(type='s5_mm.SegDataset', data_root=data_root, img_suffix='.tif', seg_map_suffix='.tif')
labeled = dict(
    dataset,
    ann_file='lists/train.txt',
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    pipeline=train_pipeline)

train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', per_batch=dict(labeled=8)),
    dataset=dict(type='s5_mm.MultiSourceDataset', sources=dict(labeled=labeled)))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        dataset,
        ann_file='lists/val.txt',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='s5_mm.S5IoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator

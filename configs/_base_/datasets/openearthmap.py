# OpenEarthMap without the xBD images, GeoTIFF of about 1024 px, made by data_prep/openearthmap.py: its own protocol of
# eight classes. As published, with unknown as a ninth class: the config with openearthmap9 in its name. In configs that
# inherit, set keys of train_dataloader and so on; what is defined here was copied by then.
openearthmap_train_pipeline = [
    dict(type='s5_mm.LoadGeoTIFF'),
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
openearthmap_test_pipeline = [
    dict(type='s5_mm.LoadGeoTIFF'),
    dict(type='s5_mm.LoadLabels'),
    dict(type='PackSegInputs'),
]
openearthmap_train = dict(
    type='s5_mm.OpenEarthMapDataset',
    data_root='data/openearthmap',
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    pipeline=openearthmap_train_pipeline)
openearthmap_val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.OpenEarthMapDataset',
        data_root='data/openearthmap',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        test_mode=True,
        pipeline=openearthmap_test_pipeline))
openearthmap_val_evaluator = [dict(type='s5_mm.IoUMetric', iou_metrics=['mIoU', 'mFscore'])]

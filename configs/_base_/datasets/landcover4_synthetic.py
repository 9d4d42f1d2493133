# Synthetic scenes in the files of four land-cover benchmarks, in 96 px crops; made by benchmarks/quickstart.py.
augmentation = [
    dict(type='s5_mm.RandomRescale', ratio_range=(0.75, 1.5)),
    dict(type='RandomCrop', crop_size=(96, 96)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='RandomRotFlip', rotate_prob=0.0, flip_prob=1.0),
    dict(type='s5_mm.RandomPhotometric'),
]
loading = [dict(type='s5_mm.LoadImage'), dict(type='s5_mm.LoadLabels')]
readers = dict(
    vaihingen=('s5_mm.ISPRSDataset', loading),
    potsdam=('s5_mm.ISPRSDataset', loading),
    loveda=('s5_mm.LoveDADataset', loading),
    openearthmap=('s5_mm.OpenEarthMapDataset', [dict(type='s5_mm.LoadGeoTIFF'), dict(type='s5_mm.LoadLabels')]))
sources = {
    name: dict(
        type=kind,
        data_root=f'data/quickstart/{name}',
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=[*steps, *augmentation, dict(type='PackSegInputs')])
    for name, (kind, steps) in readers.items()
}
loaders = {
    name: dict(
        batch_size=16,
        num_workers=1,
        persistent_workers=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type=kind,
            data_root=f'data/quickstart/{name}',
            data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
            test_mode=True,
            pipeline=[*steps, dict(type='PackSegInputs')]))
    for name, (kind, steps) in readers.items()
}
evaluators = {name: [dict(type='s5_mm.IoUMetric', iou_metrics=['mIoU', 'mFscore'])] for name in readers}

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', per_batch=8),  # of each data set
    dataset=dict(type='s5_mm.MultiSourceDataset', sources=sources))
val_dataloader = loaders
test_dataloader = loaders
val_evaluator = evaluators
test_evaluator = evaluators

# Vaihingen, Potsdam, LoveDA and OpenEarthMap as data_prep/{vaihingen,potsdam,loveda,openearthmap}.py write them, each by
# its name in `sources`, `loaders` and `evaluators`; a step of training sees 12 crops of each.
#
# - Vaihingen is infrared, red, green in 512 px crops, its score mIoU over five classes; Potsdam's is mF1 over five. Files
#   that follow the published ids (0-4, 5 ignored): label_rule='published' in train_dataloader.dataset.sources.NAME and
#   {val,test}_dataloader.NAME.dataset of your config.
# - LoveDA, 1024 px, is validated on val. For the score of the server: the config with loveda-server in its name.
# - OpenEarthMap without the xBD images is GeoTIFF of about 1024 px with its own protocol of eight classes. As published,
#   with unknown as a ninth: the config with openearthmap9 in its name.
#
# A config that inherits sets keys of train_dataloader and so on: the variables below have been used before it is read.
png = [dict(type='s5_mm.LoadImage'), dict(type='s5_mm.LoadLabels')]
geotiff = [dict(type='s5_mm.LoadGeoTIFF'), dict(type='s5_mm.LoadLabels')]
augmentation = [
    dict(type='s5_mm.RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=(512, 512)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    # Turns by 90 degrees: all eight positions of an image are equally likely then.
    dict(type='RandomRotFlip', rotate_prob=0.0, flip_prob=1.0),
    dict(type='s5_mm.RandomPhotometric'),
]
train_pipeline = [*png, *augmentation, dict(type='PackSegInputs')]
test_pipeline = [*png, dict(type='PackSegInputs')]

benchmarks = dict(
    vaihingen=dict(type='s5_mm.S5ISPRSDataset', loading=png, val_batch_size=8),
    potsdam=dict(type='s5_mm.S5ISPRSDataset', loading=png, val_batch_size=8),
    loveda=dict(type='s5_mm.S5LoveDADataset', loading=png, val_batch_size=2),
    openearthmap=dict(type='s5_mm.OpenEarthMapDataset', loading=geotiff, val_batch_size=1))
sources = {
    name: dict(
        type=benchmark['type'],
        data_root=f'data/{name}',
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=[*benchmark['loading'], *augmentation, dict(type='PackSegInputs')])
    for name, benchmark in benchmarks.items()
}
loaders = {
    name: dict(
        batch_size=benchmark['val_batch_size'],
        num_workers=4,
        persistent_workers=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type=benchmark['type'],
            data_root=f'data/{name}',
            data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
            test_mode=True,
            pipeline=[*benchmark['loading'], dict(type='PackSegInputs')]))
    for name, benchmark in benchmarks.items()
}
evaluators = {name: [dict(type='s5_mm.S5IoUMetric', iou_metrics=['mIoU', 'mFscore'])] for name in benchmarks}

train_dataloader = dict(
    batch_size=48,
    num_workers=16,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', per_batch=12),  # of each dataset
    dataset=dict(type='s5_mm.MultiSourceDataset', sources=sources))
val_dataloader = loaders
test_dataloader = loaders
val_evaluator = evaluators
test_evaluator = evaluators

# Dubai in 128 px crops, made by data_prep/mbrsc.py: an eighth of the training crops labeled, the others the pool.
_base_ = ['./isaid.py']
data_root = 'data/mbrsc'
crop_size = (128, 128)
budget = '1_of_8_seed_0'
classes = ('building', 'land', 'road', 'vegetation', 'water')
palette = [[60, 16, 152], [132, 41, 246], [110, 193, 228], [254, 221, 58], [226, 169, 41]]
smaller = {'s5_mm.RandomRescale': dict(ratio_range=(0.75, 1.5)), 'RandomCrop': dict(crop_size=crop_size)}
weak_view = [dict(step, **smaller.get(step['type'], {})) for step in _base_.weak_view]
labeled_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.LoadLabels'),
    *weak_view,
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
unlabeled_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.UnlabeledMask'),
    *weak_view,
    dict(type='PackSegInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'unreadable')),
]
dataset = dict(
    _delete_=True,
    type='s5_mm.SegDataset',
    data_root=data_root,
    metainfo=dict(classes=classes, palette=palette),
    img_suffix='.png',
    seg_map_suffix='.png')
labeled = dict(
    dataset,
    ann_file=f'lists/labeled_{budget}.txt',
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    pipeline=labeled_pipeline)
unlabeled = dict(
    type='s5_mm.UnlabeledDataset',
    source=f'{data_root}/lists/unlabeled_{budget}.txt',
    data_root=f'{data_root}/img_dir/train',
    pipeline=unlabeled_pipeline)

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    pin_memory=False,
    sampler=dict(per_batch=dict(labeled=8)),
    dataset=dict(sources=dict(labeled=labeled)))
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(
        dataset,
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        test_mode=True,
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='s5_mm.S5IoUMetric', iou_metrics=['mIoU'], excluded=())
test_evaluator = val_evaluator

# Synthetic scenes in the format of iSAID, in 96 px crops, with an unlabeled pool; made by benchmarks/quickstart.py.
_base_ = ['./isaid.py']
data_root = 'data/quickstart'
crop_size = (96, 96)
weak_view = [
    dict(type='s5_mm.RandomRescale', ratio_range=(0.75, 1.5)),
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
unlabeled = dict(type='s5_mm.UnlabeledDataset', source=f'{data_root}/unlabeled', pipeline=unlabeled_pipeline)

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    pin_memory=False,
    sampler=dict(per_batch=dict(labeled=8)),
    dataset=dict(sources=dict(labeled=dict(data_root=f'{data_root}/isaid', pipeline=labeled_pipeline))))
val_dataloader = dict(batch_size=16, num_workers=1, dataset=dict(data_root=f'{data_root}/isaid'))
test_dataloader = val_dataloader
# Classes that no scene shows do not count, even where a network takes something for them.
absent = ('ship', 'store_tank', 'basketball_court', 'Bridge', 'Large_Vehicle', 'Small_Vehicle', 'Helicopter',
          'Swimming_pool', 'plane')
val_evaluator = dict(excluded=('background', *absent))
test_evaluator = val_evaluator

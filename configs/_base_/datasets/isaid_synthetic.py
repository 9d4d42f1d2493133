# Synthetic scenes in the format of iSAID, in 96 px crops, with an unlabeled pool; made by benchmarks/quickstart.py.
_base_ = ['./isaid.py']
data_root = 'data/quickstart'
crop_size = (96, 96)
smaller = {'s5_mm.RandomRescale': dict(ratio_range=(0.75, 1.5)), 'RandomCrop': dict(crop_size=crop_size)}
weak_view, labeled_pipeline, unlabeled_pipeline = (
    [dict(step, **smaller.get(step['type'], {})) for step in steps]
    for steps in (_base_.weak_view, _base_.labeled_pipeline, _base_.unlabeled_pipeline))
unlabeled = dict(type='s5_mm.UnlabeledDataset', source=f'{data_root}/unlabeled', pipeline=unlabeled_pipeline)

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    pin_memory=False,
    sampler=dict(per_batch=dict(labeled=8)),
    dataset=dict(sources=dict(labeled=dict(data_root=f'{data_root}/isaid', pipeline=labeled_pipeline))))
val_dataloader = dict(batch_size=16, num_workers=1, dataset=dict(data_root=f'{data_root}/isaid'))
test_dataloader = val_dataloader
# Classes that no scene shows are left out of the mean, even where a network predicts them.
absent = ('ship', 'store_tank', 'basketball_court', 'Bridge', 'Large_Vehicle', 'Small_Vehicle', 'Helicopter',
          'Swimming_pool', 'plane')
val_evaluator = dict(excluded=('background', *absent))
test_evaluator = val_evaluator

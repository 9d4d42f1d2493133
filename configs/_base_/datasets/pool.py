# A pool of unlabeled images alone, in 512 px crops.
_base_ = ['./isaid_rs4p1m.py']
unlabeled = _base_.unlabeled

train_dataloader = dict(
    batch_size=64,
    sampler=dict(per_batch=dict(_delete_=True, unlabeled=64)),
    dataset=dict(sources=dict(_delete_=True, unlabeled=unlabeled)))
val_dataloader = test_dataloader = None
val_evaluator = test_evaluator = None

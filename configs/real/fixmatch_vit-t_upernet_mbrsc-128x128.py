# FixMatch with a teacher on Dubai: the other seven eighths of the training crops are the pool.
_base_ = ['./supervised_vit-t_upernet_mbrsc-128x128.py']
segmentor = _base_.model
segmentor.pop('data_preprocessor')
model = dict(
    _delete_=True,
    type='s5_mm.FixMatchSegmentor',
    data_preprocessor=_base_.data_preprocessor,
    segmentor=segmentor,
    teacher=dict())
train_dataloader = dict(
    batch_size=16,
    sampler=dict(per_batch=dict(labeled=8, unlabeled=8)),
    dataset=dict(sources=dict(unlabeled=_base_.unlabeled)))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='s5_mm.MeanTeacherHook'),
    dict(type='s5_mm.SemiPanelHook', interval=200),
    dict(type='s5_mm.PseudoLabelHook', interval=100),
]

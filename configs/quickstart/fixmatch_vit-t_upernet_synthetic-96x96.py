# S4P with the network, labels and schedule of its supervised twin, and a pool of unlabeled images of other regions.
_base_ = ['./supervised_vit-t_upernet_synthetic-96x96.py']
segmentor = _base_.model
segmentor.pop('data_preprocessor')
model = dict(
    _delete_=True,
    type='s5_mm.FixMatchSegmentor',
    data_preprocessor=_base_.data_preprocessor,
    segmentor=segmentor,
    # Background is what the network is surest of: it would take over the pseudo-labels, class by class.
    consistency=dict(class_weight=_base_.class_weight),
    teacher=dict())
train_dataloader = dict(
    batch_size=16,
    sampler=dict(per_batch=dict(labeled=8, unlabeled=8)),
    dataset=dict(sources=dict(unlabeled=_base_.unlabeled)))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='s5_mm.MeanTeacherHook'),
    dict(type='s5_mm.SemiPanelHook', interval=100),
    dict(type='s5_mm.PseudoLabelHook', interval=100),
]

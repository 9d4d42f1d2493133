# S4P with the same network, labels and schedule as its supervised twin, and an unlabeled pool.
_base_ = ['./supervised_vit-t_upernet_synthetic-96x96.py']
segmentor = _base_.model
segmentor.pop('data_preprocessor')
model = dict(
    _delete_=True,
    type='s5_mm.FixMatchSegmentor',
    data_preprocessor=_base_.data_preprocessor,
    segmentor=segmentor,
    # A start this weak is seldom sure by the paper's tau of 0.95.
    consistency=dict(tau=0.8, class_weight=_base_.class_weight))
train_dataloader = dict(
    batch_size=16,
    sampler=dict(per_batch=dict(labeled=8, unlabeled=8)),
    dataset=dict(sources=dict(unlabeled=_base_.unlabeled)))
custom_hooks = [*_base_.custom_hooks, dict(type='s5_mm.FixMatchPanelHook', interval=100)]

# S4P of S5 (arXiv 2508.12409): ViT-B from MAE weights, iSAID labels and RS4P-1M, 8 GPUs x (12 + 12) crops.
_base_ = [
    '../_base_/models/fixmatch_upernet_vit-b.py', '../_base_/datasets/isaid_rs4p1m.py',
    '../_base_/schedules/adamw_120k.py', '../_base_/runtime/iter_based.py'
]
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='s5_mm.SemiPanelHook', interval=1000),
    dict(type='s5_mm.PseudoLabelHook', interval=1000),  # held=dict(...): with precision and recall
]
auto_scale_lr = dict(base_batch_size=192)

# The supervised twin of S4P: the same network, labels, labeled samples and schedule, no unlabeled images.
_base_ = [
    '../_base_/models/upernet_vit-b.py', '../_base_/datasets/isaid.py', '../_base_/schedules/adamw_120k.py',
    '../_base_/runtime/iter_based.py'
]
auto_scale_lr = dict(base_batch_size=96)

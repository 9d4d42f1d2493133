# Supervised training of a tiny network on a few labeled synthetic scenes; minutes on a CPU.
_base_ = [
    '../_base_/models/upernet_vit-t.py', '../_base_/datasets/isaid_synthetic.py',
    '../_base_/schedules/adamw_quickstart.py', '../_base_/runtime/iter_based.py'
]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=400, max_keep_ckpts=1))

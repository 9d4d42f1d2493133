# UniMatch V2 in the place of FixMatch; a teacher labels the pool and is what is tested and published.
_base_ = ['./fixmatch_vit-b-mae_upernet_8xb12-120k_isaid-rs4p1m-512x512.py']
model = dict(type='s5_mm.UniMatchV2Segmentor', teacher=dict(_delete_=True))
custom_hooks = [*_base_.custom_hooks, dict(type='s5_mm.MeanTeacherHook')]

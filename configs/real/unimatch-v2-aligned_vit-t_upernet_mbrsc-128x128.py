# UniMatch V2 on Dubai with thresholds of each class, shares of the labels, the pool's batch norms and a ramp.
_base_ = ['./unimatch-v2_vit-t_upernet_mbrsc-128x128.py']
model = dict(
    selection=dict(type='s5_mm.ClassMean', floor=0.5),
    alignment=dict(type='s5_mm.ShareAlignment', exponent=0.5),
    pool_batch_norm=True)
custom_hooks = [*_base_.custom_hooks, dict(type='s5_mm.LossRampHook', end=_base_.iterations // 2)]

# Runtime of rotated detection on several datasets: the best checkpoint is the one with the best mean mAP over them.
_base_ = ['./multi_dataset.py']
default_scope = 'mmrotate'
visualizer = dict(type='mmrotate.RotLocalVisualizer')
default_hooks = dict(checkpoint=dict(save_best='mean/mAP'))

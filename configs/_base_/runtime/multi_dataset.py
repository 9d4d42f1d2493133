# Runtime of training on several datasets: the best checkpoint is the one with the best mean over them.
_base_ = ['./iter_based.py']
default_hooks = dict(
    checkpoint=dict(save_best='mean/mIoU'),
    visualization=dict(type='s5_mm.MultiDatasetVisualizationHook'))

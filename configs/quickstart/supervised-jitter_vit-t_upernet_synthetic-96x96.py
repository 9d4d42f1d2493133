# Supervised training with colour jitter: what can be had without unlabeled images.
_base_ = ['./supervised_vit-t_upernet_synthetic-96x96.py']
pipeline = [*_base_.labeled_pipeline[:-1], dict(type='PhotoMetricDistortion'), _base_.labeled_pipeline[-1]]
train_dataloader = dict(dataset=dict(sources=dict(labeled=dict(pipeline=pipeline))))

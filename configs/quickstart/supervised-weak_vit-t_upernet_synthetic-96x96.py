# Supervised training without color jitter, as published.
_base_ = ['./supervised_vit-t_upernet_synthetic-96x96.py']
weak_pipeline = [step for step in _base_.labeled_pipeline if step['type'] != 'PhotoMetricDistortion']
train_dataloader = dict(dataset=dict(sources=dict(labeled=dict(pipeline=weak_pipeline))))

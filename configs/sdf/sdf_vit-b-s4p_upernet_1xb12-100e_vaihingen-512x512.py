# Vaihingen alone with ViT-B.
_base_ = ['../_base_/sdf_upernet_vit-b.py']
model = dict(datasets=dict(vaihingen=dict(num_classes=5, test_cfg=dict(mode='whole', flip=True))))
train_dataloader = dict(dataset=dict(sources=dict(vaihingen=_base_.sources.vaihingen)))
val_dataloader = test_dataloader = dict(vaihingen=_base_.loaders.vaihingen)
val_evaluator = test_evaluator = dict(vaihingen=_base_.evaluators.vaihingen)

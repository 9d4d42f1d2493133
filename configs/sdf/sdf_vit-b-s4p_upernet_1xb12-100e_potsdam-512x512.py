# Potsdam alone with ViT-B.
_base_ = ['../_base_/sdf_upernet_vit-b.py']
model = dict(datasets=dict(potsdam=dict(num_classes=5, test_cfg=dict(mode='whole', flip=True))))
train_dataloader = dict(dataset=dict(sources=dict(potsdam=_base_.sources.potsdam)))
val_dataloader = test_dataloader = dict(potsdam=_base_.loaders.potsdam)
val_evaluator = test_evaluator = dict(potsdam=_base_.evaluators.potsdam)

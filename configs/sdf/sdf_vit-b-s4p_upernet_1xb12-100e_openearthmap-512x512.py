# OpenEarthMap alone with ViT-B.
_base_ = ['../_base_/sdf_upernet_vit-b.py']
model = dict(datasets=dict(openearthmap=dict(num_classes=8, test_cfg=dict(mode='resize', size=(512, 512)))))
train_dataloader = dict(dataset=dict(sources=dict(openearthmap=_base_.sources.openearthmap)))
val_dataloader = test_dataloader = dict(openearthmap=_base_.loaders.openearthmap)
val_evaluator = test_evaluator = dict(openearthmap=_base_.evaluators.openearthmap)

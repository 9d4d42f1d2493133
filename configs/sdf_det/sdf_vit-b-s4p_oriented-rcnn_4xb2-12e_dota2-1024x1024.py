# DOTA-v2.0 alone with ViT-B.
_base_ = ['../_base_/sdf_oriented-rcnn_vit-b.py']
model = dict(datasets=dict(dota=dict(num_classes=18)))
train_dataloader = dict(dataset=dict(sources=dict(dota=_base_.detection_sources.dota)))
val_dataloader = test_dataloader = dict(dota=_base_.detection_loaders.dota)
val_evaluator = test_evaluator = dict(dota=_base_.detection_evaluators.dota)

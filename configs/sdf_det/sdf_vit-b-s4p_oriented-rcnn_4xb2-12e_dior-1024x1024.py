# DIOR-R alone with ViT-B.
_base_ = ['../_base_/sdf_oriented-rcnn_vit-b.py']
model = dict(datasets=dict(dior=dict(num_classes=20)))
train_dataloader = dict(dataset=dict(sources=dict(dior=_base_.detection_sources.dior)))
val_dataloader = test_dataloader = dict(dior=_base_.detection_loaders.dior)
val_evaluator = test_evaluator = dict(dior=_base_.detection_evaluators.dior)

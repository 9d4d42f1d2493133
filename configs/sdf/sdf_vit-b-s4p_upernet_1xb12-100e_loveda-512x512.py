# LoveDA alone with ViT-B.
_base_ = ['../_base_/sdf_upernet_vit-b.py']
model = dict(datasets=dict(loveda=dict(
    num_classes=7, test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(256, 256), style='published'))))
train_dataloader = dict(dataset=dict(sources=dict(loveda=_base_.sources.loveda)))
val_dataloader = test_dataloader = dict(loveda=_base_.loaders.loveda)
val_evaluator = test_evaluator = dict(loveda=_base_.evaluators.loveda)

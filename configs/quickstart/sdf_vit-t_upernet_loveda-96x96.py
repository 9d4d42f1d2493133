# One dataset alone, with the network, samples and steps that it gets in MDF and MoE-MDF.
_base_ = ['./mdf_vit-t_upernet_landcover4-96x96.py']
model = dict(datasets=dict(_delete_=True, loveda=dict(num_classes=7)))
train_dataloader = dict(batch_size=8, dataset=dict(sources=dict(_delete_=True, loveda=_base_.sources.loveda)))
val_dataloader = dict(_delete_=True, loveda=_base_.loaders.loveda)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, loveda=_base_.evaluators.loveda)
test_evaluator = val_evaluator

# One dataset alone, with the network, samples and steps that it gets in MDF and MoE-MDF.
_base_ = ['./mdf_vit-t_upernet_landcover4-96x96.py']
model = dict(datasets=dict(_delete_=True, vaihingen=dict(num_classes=5)))
train_dataloader = dict(batch_size=8, dataset=dict(sources=dict(_delete_=True, vaihingen=_base_.sources.vaihingen)))
val_dataloader = dict(_delete_=True, vaihingen=_base_.loaders.vaihingen)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, vaihingen=_base_.evaluators.vaihingen)
test_evaluator = val_evaluator

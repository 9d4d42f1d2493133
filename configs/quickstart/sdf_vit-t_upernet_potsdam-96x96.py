# One dataset alone, with the network, samples and steps that it gets in MDF and MoE-MDF.
_base_ = ['./mdf_vit-t_upernet_landcover4-96x96.py']
model = dict(datasets=dict(_delete_=True, potsdam=dict(num_classes=5)))
train_dataloader = dict(batch_size=8, dataset=dict(sources=dict(_delete_=True, potsdam=_base_.sources.potsdam)))
val_dataloader = dict(_delete_=True, potsdam=_base_.loaders.potsdam)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, potsdam=_base_.evaluators.potsdam)
test_evaluator = val_evaluator

# One dataset alone, with the network, samples and steps that it gets in MDF and MoE-MDF.
_base_ = ['./mdf_vit-t_upernet_landcover4-96x96.py']
model = dict(datasets=dict(_delete_=True, openearthmap=dict(num_classes=8)))
train_dataloader = dict(batch_size=8, dataset=dict(sources=dict(_delete_=True, openearthmap=_base_.sources.openearthmap)))
val_dataloader = dict(_delete_=True, openearthmap=_base_.loaders.openearthmap)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, openearthmap=_base_.evaluators.openearthmap)
test_evaluator = val_evaluator

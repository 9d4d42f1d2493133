# MoE-MDF for LoveDA's server: trained on its training and validation images, which are therefore no longer validated
# on; testing writes the zip to submit.
_base_ = ['./moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py']
train_dataloader = dict(dataset=dict(sources=dict(loveda=dict(_delete_=True, **_base_.loveda_trainval))))
validated = ('vaihingen', 'potsdam', 'openearthmap')
val_dataloader = dict(_delete_=True, **{name: _base_.val_dataloader[name] for name in validated})
val_evaluator = dict(_delete_=True, **{name: _base_.val_evaluator[name] for name in validated})
test_dataloader = dict(_delete_=True, loveda=_base_.loveda_test_dataloader)
test_evaluator = dict(_delete_=True, loveda=[dict(type='s5_mm.LabelMapWriter', zip_file='work_dirs/loveda_server.zip')])

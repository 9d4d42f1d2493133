# MoE-MDF for LoveDA's server: trained on its training and validation images, which are therefore no longer validated
# on; testing writes the zip to submit. Both splits are named in lists/trainval.txt; test images have no labels.
_base_ = ['./moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py']
train_dataloader = dict(dataset=dict(sources=dict(loveda=dict(
    ann_file='lists/trainval.txt', data_prefix=dict(img_path='img_dir', seg_map_path='ann_dir')))))
validated = ('vaihingen', 'potsdam', 'openearthmap')
val_dataloader = dict(_delete_=True, **{name: _base_.val_dataloader[name] for name in validated})
val_evaluator = dict(_delete_=True, **{name: _base_.val_evaluator[name] for name in validated})
unlabeled = dict(
    type='s5_mm.S5LoveDADataset',
    data_root='data/loveda',
    data_prefix=dict(img_path='img_dir/test'),
    test_mode=True,
    pipeline=[dict(type='s5_mm.LoadImage'), dict(type='PackSegInputs')])
test_dataloader = dict(_delete_=True, loveda=dict(_base_.loaders.loveda, dataset=unlabeled))
test_evaluator = dict(_delete_=True, loveda=[dict(type='s5_mm.LabelMapWriter', zip_file='work_dirs/loveda_server.zip')])

# MoE-MDF with unknown (id 0) as a ninth class of OpenEarthMap, as the published code counts it; its file tests so.
_base_ = ['./moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py']
model = dict(datasets=dict(openearthmap=dict(num_classes=9)))
train_dataloader = dict(dataset=dict(sources=dict(openearthmap=dict(label_rule='published'))))
val_dataloader = dict(openearthmap=dict(dataset=dict(label_rule='published')))
test_dataloader = val_dataloader

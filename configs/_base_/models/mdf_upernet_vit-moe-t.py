# A tiny ViT with patch 8 and a slim UperNet, for small images, CPUs and tests; an expert has a third of the channels.
_base_ = ['./mdf_upernet_vit-moe-b.py']
data_preprocessor = dict(size=(96, 96))
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(name='vit-t', img_size=96, drop_path_rate=0.0, with_cp=False),
    experts=dict(part_features=32),
    decode_head=dict(channels=32, norm_cfg=dict(type='BN')),
    init_cfg=None)

# A tiny ViT with patch 8 and a slim UperNet, for small images, CPUs and tests; an expert has a third of the channels.
_base_ = ['./mdf_upernet_vit-moe-b.py']
data_preprocessor = dict(size=(96, 96))
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(
        arch='tiny', img_size=96, patch_size=8, part_features=32, drop_path_rate=0.0, with_cp=False),
    decode_head=dict(in_channels=[96, 96, 96, 96], channels=32, norm_cfg=dict(type='BN')),
    init_cfg=None)

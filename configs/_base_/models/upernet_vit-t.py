# A tiny ViT with patch 8 and a slim UperNet, for small images, CPUs and tests.
_base_ = ['./upernet_vit-b.py']
data_preprocessor = dict(size=(96, 96))
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(arch='tiny', img_size=96, patch_size=8, drop_path_rate=0.0, with_cp=False, init_cfg=None),
    decode_head=dict(in_channels=[96, 96, 96, 96], channels=32, norm_cfg=dict(type='BN')))

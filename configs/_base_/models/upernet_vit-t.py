# A tiny ViT with patch 8 and a slim UperNet, for small images, CPUs and tests.
_base_ = ['./upernet_vit-b.py']
data_preprocessor = dict(size=(96, 96))
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(name='vit-t', img_size=96, drop_path_rate=0.0, with_cp=False, init_cfg=None),
    decode_head=dict(channels=32, norm_cfg=dict(type='BN')))

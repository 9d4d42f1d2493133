# LoveDA alone with ViT-H.
_base_ = ['./sdf_vit-b-s4p_upernet_1xb12-100e_loveda-512x512.py']
model = dict(
    init_cfg=dict(checkpoint='pretrain/s4p_vit-h_upernet.pth'),
    backbone=dict(name='vit-h', with_cp=True))

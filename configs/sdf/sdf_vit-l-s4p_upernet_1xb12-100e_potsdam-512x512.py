# Potsdam alone with ViT-L.
_base_ = ['./sdf_vit-b-s4p_upernet_1xb12-100e_potsdam-512x512.py']
model = dict(
    init_cfg=dict(checkpoint='pretrain/s4p_vit-l_upernet.pth'),
    backbone=dict(name='vit-l', with_cp=True))

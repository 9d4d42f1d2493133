# MoE-MDF with ViT-H; 256 channels are a fifth of its features. Activations are recomputed to save memory.
_base_ = ['./moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py']
model = dict(
    init_cfg=dict(checkpoint='pretrain/s4p_vit-h_upernet.pth'),
    backbone=dict(name='vit-h', with_cp=True))

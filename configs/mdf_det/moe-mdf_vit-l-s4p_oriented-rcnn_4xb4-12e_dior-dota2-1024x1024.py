# MoE-MDF detection with ViT-L.
_base_ = ['./moe-mdf_vit-b-s4p_oriented-rcnn_4xb4-12e_dior-dota2-1024x1024.py']
model = dict(
    init_cfg=dict(checkpoint='pretrain/s4p_vit-l.pth'),
    backbone=dict(name='vit-l'))

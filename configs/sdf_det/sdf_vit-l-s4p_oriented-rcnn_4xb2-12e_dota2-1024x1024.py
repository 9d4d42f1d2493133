# DOTA-v2.0 alone with ViT-L.
_base_ = ['./sdf_vit-b-s4p_oriented-rcnn_4xb2-12e_dota2-1024x1024.py']
model = dict(
    init_cfg=dict(checkpoint='pretrain/s4p_vit-l.pth'),
    backbone=dict(name='vit-l'))

# S4P with ViT-L.
_base_ = ['./fixmatch_vit-b-mae_upernet_8xb12-120k_isaid-rs4p1m-512x512.py']
model = dict(
    segmentor=dict(
        backbone=dict(name='vit-l', init_cfg=dict(checkpoint='pretrain/mae_vit-l_millionaid.pth'))))

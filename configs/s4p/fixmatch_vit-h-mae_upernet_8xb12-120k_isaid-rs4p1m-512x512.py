# S4P with ViT-H.
_base_ = ['./fixmatch_vit-b-mae_upernet_8xb12-120k_isaid-rs4p1m-512x512.py']
model = dict(
    segmentor=dict(
        backbone=dict(name='vit-h', init_cfg=dict(checkpoint='pretrain/mae_vit-h_millionaid.pth'))))

# The supervised twin of S4P with ViT-H.
_base_ = ['./supervised_vit-b-mae_upernet_8xb12-120k_isaid-512x512.py']
model = dict(
    backbone=dict(arch='huge', init_cfg=dict(checkpoint='pretrain/mae_vit-h_millionaid.pth')),
    decode_head=dict(in_channels=[1280, 1280, 1280, 1280]))

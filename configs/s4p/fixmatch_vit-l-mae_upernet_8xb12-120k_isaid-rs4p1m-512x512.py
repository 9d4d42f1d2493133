# S4P with ViT-L.
_base_ = ['./fixmatch_vit-b-mae_upernet_8xb12-120k_isaid-rs4p1m-512x512.py']
model = dict(
    segmentor=dict(
        backbone=dict(arch='large', init_cfg=dict(checkpoint='pretrain/mae_vit-l_millionaid.pth')),
        decode_head=dict(in_channels=[1024, 1024, 1024, 1024])))

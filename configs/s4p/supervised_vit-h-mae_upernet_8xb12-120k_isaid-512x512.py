# The supervised twin of S4P with ViT-H.
_base_ = ['./supervised_vit-b-mae_upernet_8xb12-120k_isaid-512x512.py']
model = dict(
    backbone=dict(name='vit-h', init_cfg=dict(checkpoint='pretrain/mae_vit-h_millionaid.pth')))

# Test of a published S4P segmentor with ViT-H (patch 16).
_base_ = ['./s5_vit-b_s4p_upernet_isaid.py']
model = dict(backbone=dict(name='vit-h'))

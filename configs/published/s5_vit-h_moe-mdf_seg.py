# Test of a published MoE-MDF segmentor with ViT-H (patch 16).
_base_ = ['./s5_vit-b_moe-mdf_seg.py']
model = dict(backbone=dict(name='vit-h'))

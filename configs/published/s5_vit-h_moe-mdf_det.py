# Test of a published MoE-MDF detector with ViT-H (patch 16).
_base_ = ['./s5_vit-b_moe-mdf_det.py']
model = dict(backbone=dict(name='vit-h'))

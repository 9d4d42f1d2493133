# Test of a published MoE-MDF detector with ViT-L.
_base_ = ['./s5_vit-b_moe-mdf_det.py']
model = dict(backbone=dict(arch='large'), neck=dict(in_channels=[1024, 1024, 1024, 1024]))

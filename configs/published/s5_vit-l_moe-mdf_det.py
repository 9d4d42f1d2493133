# Test of a published MoE-MDF detector with ViT-L.
_base_ = ['./s5_vit-b_moe-mdf_det.py']
model = dict(backbone=dict(name='vit-l'))

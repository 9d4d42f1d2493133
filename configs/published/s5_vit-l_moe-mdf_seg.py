# Test of a published MoE-MDF segmentor with ViT-L.
_base_ = ['./s5_vit-b_moe-mdf_seg.py']
model = dict(backbone=dict(name='vit-l'))

# Test of a published MoE-MDF segmentor with ViT-L.
_base_ = ['./s5_vit-b_moe-mdf_seg.py']
model = dict(backbone=dict(arch='large'), decode_head=dict(in_channels=[1024, 1024, 1024, 1024]))

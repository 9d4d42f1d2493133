# The twin of MoE-MDF with ViT-L without experts.
_base_ = ['./moe-mdf_vit-l-s4p_upernet_1xb48-100e_landcover4-512x512.py']
model = dict(experts=None)

# MoE-MDF with experts of 512 of 768 channels, a share of 2/3.
_base_ = ['./moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py']
model = dict(experts=dict(part_features=512))

# The twin of MoE-MDF without experts: the datasets share everything but their necks and heads.
_base_ = ['./moe-mdf_vit-b-s4p_oriented-rcnn_4xb4-12e_dior-dota2-1024x1024.py']
model = dict(experts=None)

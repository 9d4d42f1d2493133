# The twin of MoE-MDF without experts: the datasets share everything but their decoders.
_base_ = ['./moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py']
model = dict(experts=None)

# The twin of MoE-MDF without experts: the datasets share everything but their decoders.
_base_ = ['./moe-mdf_vit-t_upernet_landcover4-96x96.py']
model = dict(experts=None)

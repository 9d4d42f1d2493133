# The same for ViT-L.
_base_ = ['./mae_vit-b_8xb64-200k_rs4p1m-512x512.py']
model = dict(arch='large')

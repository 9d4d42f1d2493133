# The same for ViT-L.
_base_ = ['./mae_vit-b_8xb512-200k_rs4p1m-224x224.py']
model = dict(arch='large')

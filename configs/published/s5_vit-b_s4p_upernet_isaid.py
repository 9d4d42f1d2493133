# Test of a published S4P segmentor (ViT-B and UperNet) on iSAID's val: whole crops of 512 px, mIoU over the 15 classes
# that are not background.
_base_ = ['../s4p/supervised_vit-b-mae_upernet_8xb12-120k_isaid-512x512.py']
model = dict(backbone=dict(init_cfg=None))

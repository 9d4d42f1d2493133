# Test of a published MoE-MDF detector (ViT-B) as the published code tests it: DIOR-R's test with the 11-point mAP at IoU
# 0.5; DOTA-v2.0's val merged to full images. For the score of DOTA's server see docs/weights.md.
_base_ = ['../mdf_det/moe-mdf_vit-b-s4p_oriented-rcnn_4xb4-12e_dior-dota2-1024x1024.py']
model = dict(init_cfg=None)

# UniMatch V2 on Dubai.
_base_ = ['./fixmatch_vit-t_upernet_mbrsc-128x128.py']
model = dict(type='s5_mm.UniMatchV2Segmentor')

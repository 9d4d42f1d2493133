# UniMatch V2 on the quickstart's data: two strong views with complementary channels.
_base_ = ['./fixmatch_vit-t_upernet_synthetic-96x96.py']
model = dict(type='s5_mm.UniMatchV2Segmentor')

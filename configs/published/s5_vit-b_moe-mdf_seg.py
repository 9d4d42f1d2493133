# Test of a published MoE-MDF segmentor (ViT-B) as the published code tests it: flip averaging on Vaihingen and Potsdam,
# summed windows on LoveDA's val, OpenEarthMap resized to 512 px with unknown as its ninth class.
_base_ = ['../mdf_seg/moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-openearthmap9-512x512.py']
model = dict(init_cfg=None)

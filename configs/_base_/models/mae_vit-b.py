# MAE of ViT-B: the encoder sees a quarter of the patches of 16 px.
model = dict(
    type='s5_mm.MaskedAutoencoder', arch='base', img_size=512, patch_size=16, mask_ratio=0.75,
    decoder=dict(embed_dims=512, num_layers=8, num_heads=16))

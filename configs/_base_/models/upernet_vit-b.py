# ViT-B with a feature pyramid and UperNet, as S5 trains it at 512 px on 16 iSAID classes. The encoder states the channels
# of its maps, the normalization and the divisor of image sides; backbone=dict(name=...) names another one of
# s5_mm.models.ENCODERS.
data_preprocessor = dict(
    type='SegDataPreProcessor', bgr_to_rgb=True, pad_val=0, seg_pad_val=255, size=(512, 512))
model = dict(
    type='s5_mm.S5EncoderDecoder',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='s5_mm.NamedEncoder',
        name='vit-b',
        img_size=512,
        drop_path_rate=0.1,
        with_cp='selective',
        init_cfg=dict(type='Pretrained', checkpoint='pretrain/mae_vit-b_millionaid.pth')),
    decode_head=dict(
        type='s5_mm.S5UPerHead',
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=256,
        dropout_ratio=0.1,
        num_classes=16,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        loss_decode=dict(type='s5_mm.S5CrossEntropyLoss', class_weight=None)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

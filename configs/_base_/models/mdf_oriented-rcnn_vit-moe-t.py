# A tiny ViT with patch 8 and slim heads, for small images, CPUs and tests; an expert has a third of the channels.
_base_ = ['./mdf_oriented-rcnn_vit-moe-b.py']
model = dict(
    backbone=dict(name='vit-t', img_size=128, drop_path_rate=0.0, with_cp=False),
    experts=dict(part_features=32),
    neck=dict(out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, finest_scale=28),
        bbox_head=dict(in_channels=64, fc_out_channels=128)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=300), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
    init_cfg=None)

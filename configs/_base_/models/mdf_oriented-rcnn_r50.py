# Oriented R-CNN with ResNet-50, shared by the datasets entirely, of mmrotate's own parts.
_base_ = ['./mdf_oriented-rcnn_vit-moe-b.py']
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    experts=None,
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    neck=dict(in_channels=[256, 512, 1024, 2048]),
    rpn_head=dict(anchor_generator=dict(strides=[4, 8, 16, 32, 64]), bbox_coder=dict(type='MidpointOffsetCoder')),
    roi_head=dict(
        bbox_roi_extractor=dict(
            _delete_=True,
            type='RotatedSingleRoIExtractor',
            roi_layer=dict(type='RoIAlignRotated', out_size=7, sample_num=2, clockwise=True),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(bbox_coder=dict(type='DeltaXYWHTRBBoxCoder'))),
    init_cfg=None)

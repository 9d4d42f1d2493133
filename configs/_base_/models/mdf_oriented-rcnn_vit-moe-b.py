# MoE-MDF detection of S5 on DIOR-R and DOTA-v2.0: one ViT-B whose FFNs give 256 of 768 channels to the own expert of each
# dataset, which has an FPN, an RPN and a RoI head of Oriented R-CNN, too. experts=None: no experts (MDF). The start is
# an S4P encoder or segmentor, whose FFNs are split into shared part and experts. For other datasets:
# model = dict(datasets=dict(_delete_=True, harbor=dict(num_classes=5))).
angle_version = 'le90'
nms_of_proposals = dict(type='nms', iou_threshold=0.8)
data_preprocessor = dict(
    type='mmdet.DetDataPreprocessor',
    bgr_to_rgb=True,
    pad_size_divisor=32,
    boxtype2tensor=False)
model = dict(
    type='s5_mm.MultiDatasetDetector',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='s5_mm.NamedEncoder',
        name='vit-b',
        img_size=1024,
        drop_path_rate=0.1,
        with_cp='selective'),
    # The order names the numbered experts of the published MoE-MDF files; nothing else reads it.
    experts=dict(part_features=256, order=['dior', 'dota']),
    # The encoder states the strides, of a ViT with patch 16: 4, 8, 16 and 32; the fifth map is for the largest anchors.
    neck=dict(type='mmdet.FPN', out_channels=256, num_outs=5),
    rpn_head=dict(
        type='OrientedRPNHead',
        in_channels=256,
        feat_channels=256,
        anchor_generator=dict(
            type='mmdet.AnchorGenerator',
            scales=[8],
            ratios=[0.5, 1.0, 2.0],
            use_box_type=True),
        bbox_coder=dict(
            type='s5_mm.S5MidpointOffsetCoder',
            angle_version=angle_version,
            target_means=[0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            target_stds=[1.0, 1.0, 1.0, 1.0, 0.5, 0.5]),
        loss_cls=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='mmdet.SmoothL1Loss', beta=1 / 9, loss_weight=1.0)),
    roi_head=dict(
        type='mmdet.StandardRoIHead',
        bbox_roi_extractor=dict(
            type='s5_mm.S5RotatedSingleRoIExtractor',
            extend_factor=(1.4, 1.2),  # of height and width
            roi_layer=dict(type='RoIAlignRotated', out_size=7, sample_num=2, clockwise=True),
            out_channels=256),
        bbox_head=dict(
            type='mmdet.Shared2FCBBoxHead',
            predict_box_type='rbox',
            in_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            reg_class_agnostic=True,
            reg_predictor_cfg=dict(type='mmdet.Linear'),
            cls_predictor_cfg=dict(type='mmdet.Linear'),
            bbox_coder=dict(
                type='s5_mm.S5DeltaXYWHTRBBoxCoder',
                angle_version=angle_version,
                norm_factor=None,
                edge_swap=True,
                proj_xy=True,
                target_means=[0.0, 0.0, 0.0, 0.0, 0.0],
                target_stds=[0.1, 0.1, 0.2, 0.2, 0.1]),
            loss_cls=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='mmdet.SmoothL1Loss', beta=1.0, loss_weight=1.0))),
    datasets=dict(dior=dict(num_classes=20), dota=dict(num_classes=18)),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='mmdet.MaxIoUAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                match_low_quality=True,
                ignore_iof_thr=-1,
                iou_calculator=dict(type='RBbox2HBboxOverlaps2D')),
            sampler=dict(
                type='mmdet.RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=0,
            pos_weight=-1,
            debug=False),
        rpn_proposal=dict(nms_pre=2000, max_per_img=2000, nms=nms_of_proposals, min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type='mmdet.MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
                ignore_iof_thr=-1,
                iou_calculator=dict(type='RBboxOverlaps2D')),
            sampler=dict(
                type='mmdet.RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
            pos_weight=-1,
            debug=False)),
    test_cfg=dict(
        rpn=dict(nms_pre=2000, max_per_img=2000, nms=nms_of_proposals, min_bbox_size=0),
        rcnn=dict(
            nms_pre=2000,
            min_bbox_size=0,
            score_thr=0.05,
            nms=dict(type='nms_rotated', iou_threshold=0.1),
            max_per_img=2000)),
    init_cfg=dict(type='Pretrained', checkpoint='pretrain/s4p_vit-b.pth'))

# Rotated detection on DIOR-R and DOTA-v2.0 as data_prep/{dior_r,dota}.py write them, at 1024 px. DIOR-R: trained on
# trainval, tested on test. DOTA: trained on train, tested on val; for the score of its server, train on dota_trainval and
# predict dota_test_loader, whose images have no labels.
#
# A config that inherits sets keys of train_dataloader and so on: the variables below have been used before it is read.
image_size = (1024, 1024)
load_polygons = dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox')
pack = dict(type='mmdet.PackDetInputs')
train_pipeline = [
    dict(type='s5_mm.LoadImage'),
    load_polygons,
    dict(type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
    dict(type='mmdet.Resize', scale=image_size, keep_ratio=True, clip_object_border=False),
    # The same as a horizontal and a vertical flip with probability 0.5 each.
    dict(type='mmdet.RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
    pack,
]
# Polygons are loaded after resizing, since metrics compare them in pixels of the file.
load_resized = [dict(type='s5_mm.LoadImage'), dict(type='mmdet.Resize', scale=image_size, keep_ratio=True)]
dior = dict(type='s5_mm.DIORRDataset', data_root='data/dior_r')
dota = dict(type='s5_mm.S5DOTADataset', version='v2.0', data_root='data/dota_v2/patches')
splits = dict(
    dior_trainval=dict(ann_file='ImageSets/Main/trainval.txt', data_prefix=dict(img_path='JPEGImages-trainval')),
    dior_test=dict(ann_file='ImageSets/Main/test.txt', data_prefix=dict(img_path='JPEGImages-test')),
    dota_train=dict(ann_file='train/labelTxt', data_prefix=dict(img_path='train/images')),
    dota_trainval=dict(ann_file='trainval/labelTxt', data_prefix=dict(img_path='trainval/images')),
    dota_val=dict(ann_file='val/labelTxt', data_prefix=dict(img_path='val/images')),
    dota_test=dict(ann_file='', data_prefix=dict(img_path='test/images')))
# As published, boxes thinner than 2 px in training are left out, then images without a box. min_side is in pixels of the
# file, and images of DIOR-R have 800 px.
dior_training = dict(filter_cfg=dict(filter_empty_gt=True, min_side=2 * 800 / image_size[0]), pipeline=train_pipeline)
dota_training = dict(filter_cfg=dict(filter_empty_gt=True, min_side=2), pipeline=train_pipeline)

detection_sources = dict(
    dior=dict(**dior, **splits['dior_trainval'], **dior_training),
    dota=dict(**dota, **splits['dota_train'], **dota_training))
dota_trainval = dict(**dota, **splits['dota_trainval'], **dota_training)

loader = dict(
    batch_size=1, num_workers=4, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False))
testing = dict(test_mode=True, pipeline=[*load_resized, load_polygons, pack])
detection_loaders = dict(
    dior=dict(**loader, dataset=dict(**dior, **splits['dior_test'], **testing)),
    dota=dict(**loader, dataset=dict(**dota, **splits['dota_val'], **testing)))
dota_test_loader = dict(
    **loader, dataset=dict(**dota, **splits['dota_test'], test_mode=True, pipeline=[*load_resized, pack]))

detection_evaluators = dict(
    dior=[dict(type='s5_mm.RotatedMAP', iou_thr=0.5, eval_mode='11points')],
    dota=[dict(type='s5_mm.DOTAMetric', ann_dir='data/dota_v2/val/labelTxt')])
dota_test_evaluator = [
    dict(type='s5_mm.DOTAMetric', format_only=True, zip_file='work_dirs/dota_v2_submission.zip')]

# MoE-MDF on four land-cover benchmarks: one ViT-B whose FFNs give 256 of 768 channels to each dataset's own expert, and
# a UperNet and a classifier each. experts=None: everything but the decoders is shared (MDF). The start is an S4P
# segmentor, published or ours: its FFNs are split into shared part and experts, its decoder is copied to every dataset,
# the classifiers are new. For other datasets: model = dict(datasets=dict(_delete_=True, city=dict(num_classes=5))).
_base_ = ['./upernet_vit-b.py']
backbone = _base_.model.backbone
backbone.update(init_cfg=None)
decode_head = _base_.model.decode_head
decode_head.pop('num_classes')
# New classifiers start as torch starts them: with mmseg's normal of 0.01 the first hundred steps reach less.
decode_head.update(init_cfg=None)
model = dict(
    _delete_=True,
    type='s5_mm.MultiDatasetSegmentor',
    data_preprocessor=_base_.data_preprocessor,
    backbone=backbone,
    experts=dict(
        part_features=256,
        # Names of the numbered experts of the published MoE-MDF files; nothing else reads it.
        order=['vaihingen', 'potsdam', 'openearthmap', 'loveda']),
    decode_head=decode_head,
    datasets=dict(
        # The smallest, which overfits: its loss is switched on at epoch 70 of 100.
        vaihingen=dict(num_classes=5, start=0.7),
        potsdam=dict(num_classes=5),
        loveda=dict(num_classes=7),
        # The dataset's own eight classes; the published code counts unknown as a ninth.
        openearthmap=dict(num_classes=8)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
    init_cfg=dict(type='Pretrained', checkpoint='pretrain/s4p_vit-b_upernet.pth'))

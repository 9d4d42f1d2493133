# MoE-MDF of S5 (arXiv 2508.12409): one ViT-B with experts of 256 channels for four benchmarks, from S4P weights. A step
# sees 12 crops of each; on N GPUs that is N times as many, unless per_batch and batch_size are divided.
_base_ = [
    '../_base_/models/mdf_upernet_vit-moe-b.py', '../_base_/datasets/landcover4.py',
    '../_base_/schedules/adamw_100e.py', '../_base_/runtime/multi_dataset.py'
]
# Test protocols are those of the published code: flip averaging, its own sum over windows, resize. mmseg's way of the
# first three is dict(mode='whole') twice and dict(mode='slide', crop_size=(512, 512), stride=(256, 256)).
model = dict(
    backbone=dict(with_cp=False),
    experts=dict(part_features=256),
    datasets=dict(
        vaihingen=dict(test_cfg=dict(mode='whole', flip=True)),
        potsdam=dict(test_cfg=dict(mode='whole', flip=True)),
        loveda=dict(test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(256, 256), style='published')),
        # Its own eight classes; for unknown as a ninth, as published: the config with openearthmap9 in its name.
        openearthmap=dict(test_cfg=dict(mode='resize', size=(512, 512)))))
# The published recipe sets a layer decay of 0.9, but its code never reads it: every layer learns at 5e-5. With the decay
# in effect: the config with layer-decay in its name.
auto_scale_lr = dict(base_batch_size=48)

# LoveDA alone: what MDF and MoE-MDF are compared with. The same network without experts, samples and schedule.
_base_ = [
    '../_base_/models/mdf_upernet_vit-moe-b.py', '../_base_/datasets/loveda.py', '../_base_/schedules/adamw_100e.py',
    '../_base_/runtime/multi_dataset.py'
]
model = dict(
    backbone=dict(part_features=0, with_cp=False),
    datasets=dict(
        _delete_=True,
        loveda=dict(
            num_classes=7, test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(256, 256), style='published'))))
train_dataloader = dict(
    batch_size=12,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', per_batch=12),
    dataset=dict(type='s5_mm.MultiSourceDataset', sources=dict(loveda=_base_.loveda_train)))
val_dataloader = dict(loveda=_base_.loveda_val_dataloader)
test_dataloader = val_dataloader
val_evaluator = dict(loveda=_base_.loveda_val_evaluator)
test_evaluator = val_evaluator
auto_scale_lr = dict(base_batch_size=12)

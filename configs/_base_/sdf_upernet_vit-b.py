# One dataset alone, which a config that inherits names: what MDF and MoE-MDF are compared with. The same network without
# experts, samples and schedule.
_base_ = ['../mdf_seg/mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py']
model = dict(datasets=dict(_delete_=True))
train_dataloader = dict(batch_size=12, num_workers=8, dataset=dict(sources=dict(_delete_=True)))
val_dataloader = test_dataloader = val_evaluator = test_evaluator = dict(_delete_=True)
auto_scale_lr = dict(base_batch_size=12)

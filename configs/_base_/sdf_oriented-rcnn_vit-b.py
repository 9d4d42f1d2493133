# One dataset alone, which a config that inherits names: what MDF and MoE-MDF detection are compared with. The same
# network without experts, samples and schedule.
_base_ = ['../mdf_det/mdf_vit-b-s4p_oriented-rcnn_4xb4-12e_dior-dota2-1024x1024.py']
model = dict(datasets=dict(_delete_=True))
train_dataloader = dict(batch_size=2, dataset=dict(sources=dict(_delete_=True)))
val_dataloader = test_dataloader = val_evaluator = test_evaluator = dict(_delete_=True)
auto_scale_lr = dict(base_batch_size=8)

# The same for ViT-B on crops of 224 px, 512 of them a GPU: as many images of ImageNet's size as MAE has in a batch.
_base_ = ['./mae_vit-b_8xb64-200k_rs4p1m-512x512.py']
smaller = {'RandomCrop': dict(crop_size=(224, 224))}
unlabeled = dict(
    _base_.unlabeled, pipeline=[dict(step, **smaller.get(step['type'], {})) for step in _base_.unlabeled_pipeline])
model = dict(img_size=224)
train_dataloader = dict(
    batch_size=512, sampler=dict(per_batch=dict(unlabeled=512)), dataset=dict(sources=dict(unlabeled=unlabeled)))

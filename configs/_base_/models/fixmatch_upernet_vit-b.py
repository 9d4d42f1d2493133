# S4P: FixMatch around the segmentor of upernet_vit-b.py; the options shown are the paper's.
_base_ = ['./upernet_vit-b.py']
segmentor = _base_.model
segmentor.pop('data_preprocessor')
model = dict(
    _delete_=True,
    type='s5_mm.FixMatchSegmentor',
    data_preprocessor=_base_.data_preprocessor,
    segmentor=segmentor,
    strong_view=dict(jitter=(0.5, 0.5, 0.5, 0.25), jitter_prob=0.8, gray_prob=0.2, blur_prob=0.5, blur_sigma=(0.1, 2.0)),
    cutmix=dict(prob=0.5, area=(0.02, 0.4), aspect=(0.3, 1 / 0.3)),
    consistency=dict(tau=0.95),
    unlabeled_weight=1.0,
    teacher=None,  # dict(): also add dict(type='s5_mm.MeanTeacherHook') to custom_hooks
    pseudo_label_autocast=False)

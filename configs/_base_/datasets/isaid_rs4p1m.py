# iSAID labels with an unlabeled pool: 12 labeled and 12 unlabeled crops a GPU.
_base_ = ['./isaid.py']
unlabeled_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.UnlabeledMask'),
    *_base_.weak_view,
    dict(type='PackSegInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'unreadable')),
]
unlabeled = dict(
    type='s5_mm.UnlabeledDataset',
    # What data_prep/curate.py selects; also: a folder of images, a text file with one path a line.
    source='data/rs4p1m/curated.parquet',
    data_root='data/rs4p1m/patches/images',
    pipeline=unlabeled_pipeline)

train_dataloader = dict(
    batch_size=24,
    sampler=dict(per_batch=dict(labeled=12, unlabeled=12)),
    dataset=dict(sources=dict(unlabeled=unlabeled)))

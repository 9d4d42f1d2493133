# iSAID labels with an unlabeled pool: 12 labeled and 12 unlabeled crops a GPU.
_base_ = ['./isaid.py']
unlabeled = dict(
    type='s5_mm.UnlabeledDataset',
    # Selected by data_prep/curate.py. A folder of images or a text file with one path a line will do, too.
    source='data/rs4p1m/curated.parquet',
    data_root='data/rs4p1m/patches/images',
    pipeline=_base_.unlabeled_pipeline)

train_dataloader = dict(
    batch_size=24,
    sampler=dict(per_batch=dict(labeled=12, unlabeled=12)),
    dataset=dict(sources=dict(unlabeled=unlabeled)))

# The quickstart's synthetic pool, judged by the network that its runs start from.
_base_ = ['../quickstart/supervised_vit-t_upernet_synthetic-96x96.py']
curation = dict(
    work_dir='data/quickstart/curation',
    pool=dict(source='data/quickstart/unlabeled'),
    labeled=dict(source='data/quickstart/isaid/img_dir/train', indices=1000),  # enough for a few clusters
    background=0,
    num_clusters=8,
    budget=2000,
    batch_size=32,
    workers=1)

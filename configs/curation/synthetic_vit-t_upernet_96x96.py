# The quickstart's synthetic pool, judged by its tiny network.
_base_ = ['../quickstart/supervised_vit-t_upernet_synthetic-96x96.py']
curation = dict(
    work_dir='data/quickstart/curation',
    pool=dict(source='data/quickstart/unlabeled'),
    labeled=dict(source='data/quickstart/isaid/img_dir/train'),
    background=0,
    num_clusters=8,
    budget=400,
    batch_size=16,
    workers=1)

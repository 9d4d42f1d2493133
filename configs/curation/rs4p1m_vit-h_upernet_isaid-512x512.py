# The paper's curation: ViT-H and UperNet trained on iSAID score 512 px crops of large archives and select a million.
_base_ = ['../s4p/supervised_vit-h-mae_upernet_8xb12-120k_isaid-512x512.py']
curation = dict(
    work_dir='data/rs4p1m',
    pool=dict(source='data/rs4p1m/patches/images'),  # also: a list file, a Parquet file; then with data_root
    labeled=dict(source='data/isaid/img_dir/train'),
    background=0,
    num_clusters=16,
    budget=1_000_000,
    batch_size=64,
    workers=8,
    amp=True,
    memory_limit='16GB')

# Synthetic scenes in the files of DIOR-R and DOTA, of 128 px; prepared from what data_prep/synthetic.py writes by
# data_prep/dior_r.py (data/quickstart/dior_r) and data_prep/dota.py (--size 128 --gap 32, data/quickstart/dota).
_base_ = ['./dior_r_dota_v2.py']
image_size = (128, 128)
smaller = {'mmdet.Resize': dict(scale=image_size)}
roots = dict(dior='data/quickstart/dior_r', dota='data/quickstart/dota/patches')
detection_sources = {
    name: dict(
        data_root=roots[name],
        filter_cfg=dict(min_side=2),
        pipeline=[dict(step, **smaller.get(step['type'], {})) for step in source.pipeline])
    for name, source in _base_.detection_sources.items()
}
detection_loaders = {
    name: dict(
        batch_size=8,
        num_workers=1,
        dataset=dict(
            data_root=roots[name],
            pipeline=[dict(step, **smaller.get(step['type'], {})) for step in loader.dataset.pipeline]))
    for name, loader in _base_.detection_loaders.items()
}
detection_evaluators = dict(
    dior=_base_.detection_evaluators.dior,
    dota=[dict(_base_.detection_evaluators.dota[0], ann_dir='data/quickstart/dota/val/labelTxt')])

# Synthetic scenes in the files of four land-cover benchmarks, in 96 px crops; made by benchmarks/quickstart.py.
_base_ = ['./landcover4.py']
smaller = {'s5_mm.RandomRescale': dict(ratio_range=(0.75, 1.5)), 'RandomCrop': dict(crop_size=(96, 96))}
sources = {
    name: dict(
        data_root=f'data/quickstart/{name}',
        pipeline=[dict(step, **smaller.get(step['type'], {})) for step in source.pipeline])
    for name, source in _base_.sources.items()
}
loaders = {
    name: dict(batch_size=16, num_workers=1, dataset=dict(data_root=f'data/quickstart/{name}'))
    for name in _base_.loaders
}
train_pipeline = sources['potsdam']['pipeline']
train_dataloader = dict(
    batch_size=32, num_workers=1, pin_memory=False, sampler=dict(per_batch=8), dataset=dict(sources=sources))
val_dataloader = loaders
test_dataloader = loaders

"""What checkpoints tell about the values of training images."""
from types import SimpleNamespace

import pytest
from torch import nn

from s5_mm.datasets import LoadGeoTIFF, LoadImage
from s5_mm.engine import RadiometryHook
from s5_mm.radiometry import Radiometry, Stretch, read_records

RANGE = LoadGeoTIFF(bands=(4, 3, 2), value_range=(0, 3000))


def dataset(*transforms, **sources):
    return SimpleNamespace(pipeline=SimpleNamespace(transforms=transforms)) if transforms else SimpleNamespace(
        sources=sources)


def records(trained, model=None):
    """What the hook writes into a checkpoint."""
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=trained), model=model or nn.Identity())
    hook, checkpoint = RadiometryHook(), dict(meta=dict(iter=3))
    hook.before_train(runner)
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint['meta'].pop('iter') == 3
    return read_records(checkpoint['meta'], 'x.pth')


def test_bands_and_range_of_the_loading_step():
    expected = Radiometry((4, 3, 2), Stretch(value_range=(0, 3000)))
    assert records(dataset(RANGE)) == {'': expected}
    assert records(dataset(labeled=dataset(RANGE), unlabeled=dataset(LoadImage()))) == {'': expected}


def test_percentiles_and_8_bits():
    assert records(dataset(LoadGeoTIFF(percentiles=(1, 99)))) == {'': Radiometry((1, 2, 3), Stretch((1, 99)))}
    assert records(dataset(LoadImage())) == {'': Radiometry()}


def test_each_dataset_of_a_model_of_several():
    model = nn.Identity()
    model.datasets = ('red', 'green', 'absent')
    told = records(dataset(green=dataset(LoadImage()), red=dataset(RANGE), other=dataset(RANGE)), model)
    assert told == dict(red=RANGE.radiometry, green=Radiometry())


def test_a_run_without_training_writes_nothing():
    checkpoint = {}
    RadiometryHook().before_save_checkpoint(None, checkpoint)
    assert read_records(checkpoint, 'x.pth') == {}


@pytest.mark.parametrize('text', [
    '{', '[]', '{"": 3}', '{"": {"stretch": {"percentiles": [9, 1], "value_range": null}}}'])
def test_damaged_records(text):
    with pytest.raises(ValueError, match=r'x\.pth has a damaged record of how its training images were read'):
        read_records(dict(radiometry=text), 'x.pth')

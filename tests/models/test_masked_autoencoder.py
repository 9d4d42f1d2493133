"""MAE on images with pixels without data."""
import pytest
import torch
from mmengine.structures import PixelData
from mmpretrain.models import MAE
from mmseg.structures import SegDataSample

from s5_mm.models import MaskedAutoencoder

TINY = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
DECODER = dict(embed_dims=16, num_layers=1, num_heads=2)


def build(**options):
    torch.manual_seed(0)
    model = MaskedAutoencoder(TINY, img_size=32, patch_size=8, decoder=DECODER, **options)
    model.init_weights()
    return model


def samples(number, without_data=None):
    """All of the images but the pixels that a slice names have data."""
    made = []
    for _ in range(number):
        labels = torch.zeros(1, 32, 32, dtype=torch.int64)
        if without_data is not None:
            labels[0][without_data] = 255
        sample = SegDataSample()
        sample.gt_sem_seg = PixelData(data=labels)
        made.append(sample)
    return made


def loss_of(model, images, data_samples):
    torch.manual_seed(5)
    return model.loss(images, data_samples)['loss']


def test_is_maes_loss_where_all_pixels_have_data():
    model, images = build(), torch.randn(3, 3, 32, 32)
    torch.manual_seed(5)
    assert torch.allclose(loss_of(model, images, samples(3)), (torch.manual_seed(5), MAE.loss(model, images, None)[
        'loss'])[1], atol=1e-6)


def test_patches_with_a_pixel_without_data_do_not_count():
    """One pixel of patch (0, 0) and one row of patches (3, ...) of 4 x 4."""
    model, images = build(), torch.randn(2, 3, 32, 32)
    data = samples(2)
    for sample in data:
        sample.gt_sem_seg.data[0, 7, 7] = 255
        sample.gt_sem_seg.data[0, 31] = 255
    torch.manual_seed(5)
    predicted, masked = model.predict_patches(images)
    assert masked.sum(dim=1).tolist() == [12, 12]
    error = (predicted - model.head.construct_target(images)).square().mean(dim=-1)
    counted = [(image, patch) for image in range(2) for patch in range(1, 12) if masked[image, patch]]
    expected = sum(error[where] for where in counted) / len(counted)
    assert loss_of(model, images, data).item() == pytest.approx(expected.item(), rel=1e-5)
    images[:, :, :8, :8], images[:, :, 24:] = 9.0, -9.0
    assert model.whole_patches(data)[0].tolist() == [0] + [1] * 11 + [0] * 4


def test_without_a_patch_that_counts_the_loss_is_0():
    model = build()
    loss = loss_of(model, torch.randn(2, 3, 32, 32), samples(2, slice(None)))
    loss.backward()
    assert loss == 0


def test_seen_patches_stay_and_masked_ones_are_predicted():
    model, images = build(), torch.randn(2, 3, 32, 32)
    torch.manual_seed(5)
    seen, made = model.reconstruct(images)
    torch.manual_seed(5)
    predicted, masked = model.predict_patches(images)
    hidden = masked.reshape(2, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3).expand(-1, 3, -1, -1).bool()
    assert torch.equal(seen[~hidden], images[~hidden])
    assert torch.equal(made[~hidden], images[~hidden])
    assert (seen[hidden] == 0).all()
    patch = masked[0].nonzero()[0].item()
    rows, columns = (slice(8 * i, 8 * i + 8) for i in divmod(patch, 4))
    original = images[0, :, rows, columns].permute(1, 2, 0).flatten()  # pixels one after the other, bands inside
    expected = predicted[0, patch] * (original.var() + 1e-6).sqrt() + original.mean()
    assert torch.allclose(made[0, :, rows, columns].permute(1, 2, 0).flatten(), expected, atol=1e-5)


def test_more_bands():
    normalization = dict(mean=[1, 2, 3, 4, 5], std=[1] * 5)
    model = build(in_channels=5, data_preprocessor=normalization)
    images = [torch.randint(0, 255, (5, 32, 32), dtype=torch.uint8)] * 2
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples(2)), True)
    assert torch.equal(data['inputs'][0], images[0] - torch.arange(1., 6)[:, None, None])
    model.loss(**data)['loss'].backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(in_channels=4), 'data_preprocessor.mean'), (dict(mask_ratio=1.0), 'mask_ratio is 1.0'),
    (dict(mask_ratio=0.99), 'leave a patch')])
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
    with pytest.raises(ValueError, match='img_size is 30'):
        MaskedAutoencoder('tiny', img_size=30, patch_size=8)
    with pytest.raises(ValueError, match="'vast' is unknown"):
        MaskedAutoencoder('vast')

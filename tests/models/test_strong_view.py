"""Photometric distortion on the device."""
import pytest
import torch

from s5_mm.models import StrongView


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8), size=(32, 32), mode='bilinear').repeat(16, 1, 1, 1)


def strong(images, seed=1, **options):
    torch.manual_seed(seed)
    return StrongView(**options)(images)


def test_shape_and_range(images):
    for values in (images, torch.zeros_like(images), torch.ones_like(images)):
        result = strong(values)
        assert result.shape == values.shape
        assert result.dtype == torch.float32
        assert result.min() >= 0
        assert result.max() <= 1


def test_follows_the_seed_and_leaves_its_input(images):
    before = images.clone()
    assert torch.equal(strong(images), strong(images))
    assert not torch.equal(strong(images), strong(images, seed=2))
    assert torch.equal(images, before)


def test_each_image_of_a_batch_has_its_own_factors(images):
    result = strong(images, jitter_prob=1.0)
    assert len({image.mean().item() for image in result}) == len(images)


def test_everything_off_is_identity(images):
    assert torch.equal(strong(images, jitter_prob=0, gray_prob=0, blur_prob=0), images)


def test_gray(images):
    result = strong(images, jitter_prob=0, gray_prob=1, blur_prob=0)
    assert torch.allclose(result[:, 0], result[:, 1])
    assert torch.allclose(result[:, 0], result[:, 2])
    assert result.std(dim=(2, 3)).min() > 0.01


def test_shares(images):
    many = images.repeat(32, 1, 1, 1)
    changed = (strong(many, gray_prob=0, blur_prob=0) != many).flatten(1).any(dim=1)
    assert abs(changed.float().mean() - 0.8) < 0.06
    blurred = (strong(many, jitter_prob=0, gray_prob=0) != many).flatten(1).any(dim=1)
    assert abs(blurred.float().mean() - 0.5) < 0.07


def test_blur_spreads_a_point_within_the_sigmas():
    point = torch.zeros(64, 3, 33, 33)
    point[:, :, 16, 16] = 1
    result = strong(point, jitter_prob=0, gray_prob=0, blur_prob=1)
    grid = torch.arange(33.0) - 16
    sigma = (result[:, 0].sum(dim=1) * grid**2).sum(dim=1).sqrt()
    assert torch.allclose(result.sum(dim=(2, 3)), torch.ones(64, 3), atol=1e-4)
    assert sigma.max() <= 2.0
    assert sigma.max() > 1.7
    assert sigma.min() < 0.5


def test_geometry_stays(images):
    """Brightness moves, the pattern does not: distorted and original stay correlated pixel by pixel."""
    gray = images.mean(dim=1).flatten(1)
    result = strong(images, jitter=(0.5, 0.5, 0.0, 0.0), gray_prob=0).mean(dim=1).flatten(1)
    for a, b in zip(gray, result, strict=True):
        assert torch.corrcoef(torch.stack([a, b]))[0, 1] > 0.8


def test_no_gradient(images):
    assert not strong(images.requires_grad_()).requires_grad


@pytest.mark.parametrize(('options', 'message'), [
    (dict(jitter=(0.5, 0.5)), r'jitter is \(0.5, 0.5\), it must be four numbers'),
    (dict(jitter=(0.5, 0.5, 0.5, 0.6)), 'hue up to 0.5'),
    (dict(gray_prob=2), r'gray_prob is 2, it must lie in \[0, 1\]'),
    (dict(blur_sigma=(-1, -1)), r'blur_sigma is \(-1, -1\), it must be \(smallest, largest\) above 0'),
])
def test_options_out_of_range_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        StrongView(**options)


class TestMoreBands:
    """Red, green and blue are bands 2, 1 and 0 of five, as of a satellite."""

    @pytest.fixture
    def bands(self, images):
        return torch.cat([images.flip(1), images[:, :2] * 0.4 + 0.3], dim=1)

    def test_color_is_changed_in_rgb_alone(self, bands):
        result = strong(bands, jitter=(0, 0, 0.5, 0.25), jitter_prob=1, gray_prob=0, blur_prob=0, rgb=(2, 1, 0))
        assert torch.equal(result[:, 3:], bands[:, 3:])
        assert ((result - bands)[:, :3].abs().amax(dim=(2, 3)) > 0.02).all(dim=1).float().mean() > 0.8
        expected = strong(bands[:, [2, 1, 0]], jitter=(0, 0, 0.5, 0.25), jitter_prob=1, gray_prob=0, blur_prob=0)
        assert torch.equal(result[:, [2, 1, 0]], expected)

    def test_gray_is_the_mean_of_rgb_by_their_weights(self, bands):
        result = strong(bands, jitter_prob=0, gray_prob=1, blur_prob=0, rgb=(2, 1, 0))
        gray = 0.299 * bands[:, 2] + 0.587 * bands[:, 1] + 0.114 * bands[:, 0]
        assert torch.allclose(result[:, :3], gray[:, None].expand(-1, 3, -1, -1), atol=1e-3)
        assert torch.equal(result[:, 3:], bands[:, 3:])

    def test_brightness_and_contrast_of_the_others(self, bands):
        """Both are lines: value -> a value + b, one for each image, and the same for its bands."""
        result = strong(bands, jitter=(0.2, 0.2, 0, 0), jitter_prob=1, gray_prob=0, blur_prob=0, rgb=(2, 1, 0))
        slopes = []
        for before, after in zip(bands[:, 3:].flatten(1), result[:, 3:].flatten(1), strict=True):
            inside = (after > 0) & (after < 1)
            x, y = before[inside] - before[inside].mean(), after[inside] - after[inside].mean()
            slopes.append((x @ y / (x @ x)).item())
            assert torch.allclose(y, slopes[-1] * x, atol=1e-4)
        assert 0.6 < min(slopes) < 0.95 < 1.05 < max(slopes) < 1.5

    def test_all_are_blurred(self, bands):
        result = strong(bands, jitter_prob=0, gray_prob=0, blur_prob=1, blur_sigma=(1.0, 1.0), rgb=(2, 1, 0))
        assert (result.std(dim=(2, 3)) < bands.std(dim=(2, 3))).all()

    def test_no_band_has_a_color(self, bands):
        result = strong(bands[:, :2], jitter_prob=1, blur_prob=0, rgb=None)
        assert not torch.allclose(result, bands[:, :2], atol=1e-2)

    def test_missing_bands(self, bands):
        with pytest.raises(ValueError, match='2 bands'):
            strong(bands[:, :2])
        with pytest.raises(ValueError, match='rgb is'):
            StrongView(rgb=(0, 0, 1))

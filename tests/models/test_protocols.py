"""Test protocols by hand, on networks whose output is known."""
import pytest
import torch
from torch.nn.functional import interpolate

from s5_mm.models.segmentors.protocols import build_protocol

SLIDE = dict(mode='slide', crop_size=(4, 4), stride=(2, 2))


def two_classes(score):
    """Logits (0, score)."""
    return torch.cat([torch.zeros_like(score), score], dim=1)


def identity(images):
    """The red channel as the logit of class 1, against 0."""
    return two_classes(images[:, :1])


def position(images):
    """The column in the window as the logit of class 1: tells windows apart."""
    columns = torch.arange(float(images.shape[-1])).expand(len(images), 1, *images.shape[-2:])
    return two_classes(columns)


def run(test_cfg, logits_of, images, metas=None):
    return build_protocol(test_cfg)(logits_of, images, metas or [{}] * len(images))


def sigmoid(*values):
    return torch.tensor([float(value) for value in values]).sigmoid()


def starts(test_cfg, size):
    """First columns of the windows, as often as they count, of an image of one row."""
    return [columns.start for rows, columns, count in build_protocol(test_cfg).windows(1, size) for _ in range(count)]


def test_whole_is_the_network():
    images = torch.randn(2, 3, 6, 8)
    assert torch.equal(run(dict(mode='whole'), identity, images), identity(images))
    assert torch.equal(run({}, identity, images), identity(images))


def test_flip_averages_the_two_softmax_maps():
    scores = run(dict(mode='whole', flip=True), position, torch.zeros(1, 3, 2, 3))
    # Class 1 has the logits 0, 1, 2; mirrored 2, 1, 0.
    expected = (sigmoid(0, 1, 2) + sigmoid(2, 1, 0)) / 2
    assert torch.allclose(scores[0, 1], expected.expand(2, 3))
    assert torch.allclose(scores.sum(dim=1), torch.ones(1, 2, 3))


def test_flip_is_horizontal_alone():
    images = torch.randn(1, 3, 4, 6)
    seen = []

    def network(x):
        seen.append(x)
        return identity(x)

    run(dict(flip=True), network, images)
    assert torch.equal(seen[1], images[..., list(range(6))[::-1]])


def test_windows_as_mmseg_places_them():
    cfg = dict(mode='slide', crop_size=(512, 512), stride=(256, 256))
    assert starts(cfg, 1024) == [0, 256, 512]
    assert starts(cfg, 1000) == [0, 256, 488]
    assert starts(cfg, 512) == [0]
    assert starts(cfg, 300) == [0]


def test_windows_as_published():
    """At 1024 px the last of five windows is met three times."""
    cfg = dict(mode='slide', crop_size=(512, 512), stride=(256, 256), style='published')
    assert starts(cfg, 1024) == [0, 256, 512, 512, 512]


def test_slide_averages_logits_of_distinct_windows():
    # Windows over columns 0-3, 2-5 and 3-6 of 7: sums of positions in the window / number of windows.
    scores = run(SLIDE, position, torch.zeros(1, 3, 4, 7))
    expected = torch.tensor([0, 1, 2 + 0, 3 + 1 + 0, 2 + 1, 3 + 2, 3.]) / torch.tensor([1, 1, 2, 3, 2, 2, 1.])
    assert torch.allclose(scores[0, 1], expected.expand(4, 7))


def test_slide_as_published_sums_softmax_and_counts_duplicates():
    # Columns: starts 0, 2, 4 -> 3, 6 -> 3 of 7; rows (4 high): 0, 2 -> 0, 4 -> 0, so everything counts three times.
    scores = run(dict(SLIDE, style='published'), position, torch.zeros(1, 3, 4, 7))
    a, b, c, d = sigmoid(0, 1, 2, 3)
    expected = 3 * torch.stack([a, b, c + a, d + b + 2 * a, c + 2 * b, d + 2 * c, 2 * d])
    assert torch.allclose(scores[0, 1], expected.expand(4, 7))


def test_slide_in_two_dimensions_equals_a_network_without_context():
    images = torch.randn(2, 3, 9, 7)
    assert torch.allclose(run(SLIDE, identity, images), identity(images), atol=1e-6)
    published = run(dict(SLIDE, style='published'), identity, images)
    assert torch.equal(published.argmax(dim=1), identity(images).argmax(dim=1))


def test_slide_with_flip_averages_probabilities():
    scores = run(dict(SLIDE, flip=True), position, torch.zeros(1, 3, 4, 4))
    expected = (sigmoid(0, 1, 2, 3) + sigmoid(3, 2, 1, 0)) / 2
    assert torch.allclose(scores[0, 1], expected.expand(4, 4))
    published = run(dict(SLIDE, flip=True, style='published'), position, torch.zeros(1, 3, 4, 4))
    assert torch.allclose(published[0, 1], 9 * expected.expand(4, 4))


def test_an_image_below_the_window_is_one_window():
    images = torch.randn(1, 3, 2, 3)
    assert torch.allclose(run(SLIDE, identity, images), identity(images))


def test_bfloat16_logits_are_summed_in_float32():
    scores = run(SLIDE, lambda x: identity(x).bfloat16(), torch.randn(1, 3, 4, 6))
    assert scores.dtype == torch.float32


def test_resize_there_and_back():
    images = torch.tensor([[0., 3.], [6., 9.]]).expand(1, 3, 2, 2)
    seen = []

    def network(x):
        seen.append(x)
        return identity(x)

    scores = run(dict(mode='resize', size=(2, 4)), network, images)
    # align_corners=True: corners stay, the columns between lie at thirds.
    assert torch.allclose(seen[0][0, 0], torch.tensor([[0., 1, 2, 3], [6, 7, 8, 9]]))
    assert torch.allclose(scores[:, 1], images[:, 0])


def test_resize_takes_padding_off():
    """Two images of different size in one padded batch are seen at the same size, without their padding."""
    images = torch.randn(2, 3, 5, 6)
    metas = [dict(img_padding_size=(0, 2, 0, 1)), dict(img_padding_size=(0, 0, 0, 0))]
    scores = run(dict(mode='resize', size=8), identity, images, metas)
    for i, (height, width) in enumerate([(4, 4), (5, 6)]):
        small = images[i:i + 1, :1, :height, :width]
        there = interpolate(small, (8, 8), mode='bilinear', align_corners=True)
        back = interpolate(there, (height, width), mode='bilinear', align_corners=True)
        assert torch.allclose(scores[i, 1, :height, :width], back[0, 0], atol=1e-6)
    assert scores.shape == (2, 2, 5, 6)
    assert torch.count_nonzero(scores[0, :, 4:]) == torch.count_nonzero(scores[0, :, :, 4:]) == 0


@pytest.mark.parametrize(('test_cfg', 'message'), [
    (dict(mode='sliding'), r"mode is 'sliding'; choose from \['whole', 'slide', 'resize'\]"),
    (dict(mode='whole', crop_size=512), r"mode 'whole' has no option \['crop_size'\]; allowed are \['flip'\]"),
    (dict(mode='slide', crop_sise=512), r"no option \['crop_sise'\]; allowed are \['flip', 'crop_size', 'stride', "),
    (dict(mode='slide', crop_size=512), r"mode 'slide' needs \['stride'\], in pixels"),
    (dict(mode='resize'), r"mode 'resize' needs \['size'\]"),
    (dict(mode='resize', size=0), 'size is 0; give pixels'),
    (dict(mode='resize', size=(5.5, 3)), r'size is \(5\.5, 3\); give pixels'),
    (dict(mode='slide', crop_size=4, stride=6), r'stride \(6, 6\) is above crop_size \(4, 4\)'),
    (dict(SLIDE, style='paper'), r"style is 'paper'; choose from \['mmseg', 'published'\]"),
    (dict(flip='vertical'), "flip is 'vertical'; give True"),
])
def test_impossible_settings(test_cfg, message):
    with pytest.raises(ValueError, match=message):
        build_protocol(test_cfg)


@pytest.mark.parametrize('test_cfg', [dict(flip=True), dict(SLIDE, style='published')])
def test_softmax_needs_two_channels(test_cfg):
    with pytest.raises(ValueError, match='decode head has one output channel'):
        run(test_cfg, lambda x: x[:, :1], torch.zeros(1, 3, 4, 4))

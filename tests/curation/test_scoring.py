"""Scoring: what padding, batches and precision may not change, and what becomes of bad images."""
import math

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample
from PIL import Image

from s5_mm.curation import Prototypes, mean_entropy
from s5_mm.curation.loading import build_loader, build_pool
from s5_mm.curation.scoring import score, score_images
from s5_mm.models.networks import image_divisor
from s5_mm.registry import MODELS

PREPROCESSOR = dict(type='SegDataPreProcessor', mean=[120.0, 110, 100], std=[60.0, 60, 60], bgr_to_rgb=True)
SIZES = {'a.png': (32, 32), 'b.png': (48, 32), 'c.png': (32, 32), 'd.png': (20, 45)}  # (height, width)


@pytest.fixture
def model(tiny_segmentor):
    torch.manual_seed(0)
    return MODELS.build(tiny_segmentor(data_preprocessor=PREPROCESSOR)).eval()


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for name, size in SIZES.items():
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / name)
    return tmp_path


def scores_of(model, folder, batches=((0, 1, 2, 3),), workers=0, size=None, max_side=2048, **options):
    pool = build_pool(dict(source=str(folder)), size)
    return list(score(model, build_loader(pool, batches, workers, max_side), **options))


def test_entropy_is_that_of_the_model_on_the_image(model, folder):
    [scores] = scores_of(model, folder, background=0)
    assert scores.size[np.argsort(scores.index)].tolist() == [list(size) for size in SIZES.values()]
    bgr = np.asarray(Image.open(folder / 'b.png'))[..., ::-1].transpose(2, 0, 1).copy()
    data = model.data_preprocessor(dict(inputs=[torch.tensor(bgr)], data_samples=[SegDataSample()]))
    with torch.no_grad():
        logits = model.encode_decode(data['inputs'], [dict(img_shape=(48, 32), ori_shape=(48, 32), pad_shape=(48, 32))])
    expected = mean_entropy(logits, background=0).item()
    assert scores.entropy[scores.index == 1].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('workers', [0, 2])
def test_scores_depend_neither_on_the_batch_nor_on_the_workers(model, folder, workers):
    [together] = scores_of(model, folder, keep_features=True)
    alone = scores_of(model, folder, [[0], [1], [2], [3]], workers, keep_features=True)
    order = np.argsort(together.index)
    for i in (1, 4, 5):
        np.testing.assert_allclose(np.concatenate([part[i] for part in alone]), together[i][order], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together.features, axis=1), 1, rtol=1e-5)


def test_padding_does_not_count(model):
    """Where the network gives one logit on the image and another on the padding, the image's alone is seen."""
    pixels = torch.full((1, 3, 20, 45), 200, dtype=torch.uint8)
    seen = []

    def encode_decode(inputs, metas):
        seen.append(inputs)
        model.backbone(inputs)
        logits = torch.zeros(1, 3, *inputs.shape[2:])
        logits[:, 0, 20:] = logits[:, 0, :, 45:] = 50
        return logits

    model.encode_decode = encode_decode
    entropy, features = score_images(model, model, pixels)
    assert seen[0].shape == (1, 3, 32, 48)
    assert seen[0][0, :, 19, 44].tolist() == pytest.approx([(200 - mean) / 60 for mean in (120, 110, 100)])
    assert not seen[0][:, :, 20:].any()
    assert entropy.item() == pytest.approx(math.log(3), rel=1e-6)
    assert features.shape == (1, 16)


def test_pixels_without_data_do_not_count(model, tmp_path):
    """Where the network is certain of pixels without data, the others alone are seen; an image without any fails."""
    rgba = np.full((32, 48, 4), 200, np.uint8)
    rgba[:16, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / '0.png')
    rgba[..., 3] = 0
    Image.fromarray(rgba).save(tmp_path / '1.png')

    def encode_decode(inputs, metas):
        model.backbone(inputs)
        logits = torch.zeros(len(inputs), 3, *inputs.shape[2:])
        logits[:, 0, :16] = 50
        return logits

    model.encode_decode = encode_decode
    [scores] = score(model, build_loader(build_pool(dict(source=str(tmp_path))), [[0, 1]]))
    assert scores.index.tolist() == [0]
    assert scores.entropy.item() == pytest.approx(math.log(3), rel=1e-6)
    assert scores.failures == [(1, 'no pixel of it has data')]
    # Twice as large, the upper 32 rows have none.
    [scores] = score(model, build_loader(build_pool(dict(source=str(tmp_path)), size=96), [[0]]))
    assert scores.entropy.item() == pytest.approx(math.log(3), rel=1e-6)


@pytest.mark.parametrize(('divisor', 'padded'), [
    (8, (32, 48)),
    (14, (42, 56)),  # the shortest side is 32 px
    (None, (32, 64)),  # an encoder that states none: 32
])
def test_padding_is_what_the_encoder_asks_for(model, divisor, padded):
    class Encoder(torch.nn.Module):
        """One channel, a cell for each pixel."""

        def forward(self, x):
            return (x[:, :1], )

    model.backbone = Encoder()
    if divisor is not None:
        model.backbone.divisor = divisor
    seen = []

    def encode_decode(inputs, metas):
        seen.append((tuple(inputs.shape[2:]), metas[0]['img_shape']))
        model.backbone(inputs)
        return torch.zeros(1, 3, *inputs.shape[2:])

    model.encode_decode = encode_decode
    score_images(model, model, torch.zeros(1, 3, 20, 45, dtype=torch.uint8))
    assert seen == [(padded, padded)]


def test_the_encoder_of_this_package_states_its_patch_size(model):
    assert image_divisor(model) == 8


def test_prototypes_are_those_of_the_feature(model, folder):
    [kept] = scores_of(model, folder, keep_features=True)
    prototypes = Prototypes(np.stack([kept.features[2], -kept.features[0]]), np.array([1, 1]))
    [scores] = scores_of(model, folder, prototypes=prototypes)
    assert scores.cluster.tolist() == (kept.features @ prototypes.centers.T).argmax(axis=1).tolist()
    assert scores.similarity[2] == pytest.approx(1, rel=1e-5)
    assert scores.features.shape == (4, 0)


def test_bfloat16_is_close_and_the_mode_of_the_model_stays(model, folder):
    model.train()
    [exact], [half] = scores_of(model, folder), scores_of(model, folder, amp=True)
    np.testing.assert_allclose(half.entropy, exact.entropy, rtol=0.02)
    assert half.entropy.dtype == np.float32
    assert (half.entropy != exact.entropy).any()
    assert model.training


def test_bad_images_are_failures_with_their_reason(model, folder):
    (folder / 'b.png').write_bytes((folder / 'b.png').read_bytes()[:300])
    Image.fromarray(np.zeros((32, 32), np.uint16)).save(folder / 'c.png')
    [scores] = scores_of(model, folder, max_side=40)
    assert scores.index.tolist() == [0]
    reasons = dict(scores.failures)
    assert set(reasons) == {1, 2, 3}
    assert 'truncated' in reasons[1]
    assert 'only 8 bits a channel' in reasons[2]
    assert '45 x 20 pixels, more than max_side=40' in reasons[3]


def test_an_entropy_that_is_no_number_is_a_failure(model, folder):
    torch.nn.init.constant_(model.decode_head.conv_seg.bias, math.nan)
    [scores] = scores_of(model, folder, [[0, 3]])
    assert len(scores.index) == 0
    assert [failure.index for failure in scores.failures] == [0, 3]
    assert 'no finite entropy' in scores.failures[0].reason


def test_images_are_resized_by_their_long_side(model, folder):
    [scores] = scores_of(model, folder, [[1, 3]], size=64, max_side=64)
    assert sorted(scores.size.tolist()) == [[20, 45], [48, 32]]
    with pytest.raises(ValueError, match='size is 16; images are resized to at least 32 px'):
        build_pool(dict(source=str(folder)), 16)


def test_the_teacher_judges_where_there_is_one(model, folder, tiny_segmentor):
    fixmatch = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', data_preprocessor=PREPROCESSOR,
                                 segmentor=tiny_segmentor(), teacher={}))
    fixmatch.segmentor.load_state_dict(model.state_dict(), strict=False)
    [student] = scores_of(fixmatch, folder)
    np.testing.assert_allclose(student.entropy, scores_of(model, folder)[0].entropy, rtol=1e-5)
    fixmatch.teacher.steps += 1
    [teacher] = scores_of(fixmatch, folder)
    assert (teacher.entropy != student.entropy).all()

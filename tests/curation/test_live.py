"""Scores of the datasets of a running training."""
import numpy as np
import pytest
import torch
from PIL import Image

from s5_mm.curation.live import ScoringOptions, score_dataset
from s5_mm.datasets import UnlabeledDataset
from s5_mm.registry import MODELS

SIZES = [(32, 32), (48, 32), (32, 32), (24, 40)]
"""Height and width of the images."""


@pytest.fixture
def model(tiny_segmentor):
    torch.manual_seed(0)
    preprocessor = dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True)
    return MODELS.build(tiny_segmentor(data_preprocessor=preprocessor)).eval()


@pytest.fixture
def pool(tmp_path):
    generator = np.random.default_rng(0)
    for i, size in enumerate(SIZES):
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f'{i}.png')
    return UnlabeledDataset(str(tmp_path), pipeline=[dict(type='s5_mm.LoadImage')])


def test_scores_are_in_the_order_of_the_indices(model, pool):
    """Though images of one size are scored together: here the first with the third."""
    options = ScoringOptions(batch_size=4, workers=0)
    together = score_dataset(model, pool, np.arange(4), options, keep_features=True)
    assert together.index.tolist() == [0, 1, 2, 3]
    assert together.size.tolist() == [list(size) for size in SIZES]
    for i in range(4):
        alone = score_dataset(model, pool, np.array([i]), options, keep_features=True)
        assert together.entropy[i] == pytest.approx(alone.entropy.item(), rel=1e-5)
        assert together.features[i].tolist() == pytest.approx(alone.features[0].tolist(), rel=1e-4, abs=1e-5)

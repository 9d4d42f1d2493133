import numpy as np
import pytest
from PIL import Image

PALETTE = [[0, 0, 0], [10, 20, 30]]


@pytest.fixture
def draw_comparison(load_tool):
    return load_tool('benchmarks/comparison.py').draw_comparison


@pytest.fixture
def folders(tmp_path):
    for kind, values in (('image', np.full((90, 90, 3), 77)), ('truth', np.eye(90)), ('guess', np.full((90, 90), 255))):
        (tmp_path / kind).mkdir()
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / kind / 'a.png')
    return tmp_path


def test_columns_hold_the_image_and_the_colored_labels(draw_comparison, folders):
    out = folders / 'new' / 'sheet.png'
    labels = dict(truth=folders / 'truth', guess=folders / 'guess')
    draw_comparison(folders / 'image', labels, PALETTE, out, ['a'])
    sheet = np.asarray(Image.open(out))
    assert sheet.shape == (22 + 2 * 90 + 4, 3 * (2 * 90 + 4), 3)
    image, truth, guess = (sheet[22:, start:start + 180] for start in (0, 184, 368))
    assert (image[:180] == 77).all()
    assert truth[0, 0].tolist() == [10, 20, 30]
    assert truth[0, 2].tolist() == [0, 0, 0]
    assert (guess[:180] == 255).all()


def test_a_missing_prediction_is_an_error(draw_comparison, folders):
    with pytest.raises(FileNotFoundError, match=r'b\.png'):
        draw_comparison(folders / 'image', dict(truth=folders / 'truth'), PALETTE, folders / 'sheet.png', ['b'])

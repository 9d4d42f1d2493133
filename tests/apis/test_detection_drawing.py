"""Pictures of detections."""
import numpy as np
from PIL import Image

from s5_mm.apis import detection_drawing, draw_boxes, draw_classes, overview, with_legend
from s5_mm.rasters import open_raster
from s5_mm.scenes.detection import ArrayImage


def test_overview_of_a_big_image(tmp_path, monkeypatch):
    monkeypatch.setattr(detection_drawing, 'STRIP', 70)
    image = np.zeros((300, 200, 3), np.uint8)
    image[150:, :, 0] = 200
    Image.fromarray(image).save(tmp_path / 'x.png')
    with open_raster(tmp_path / 'x.png') as source:
        whole, unscaled = overview(source)
        monkeypatch.setattr(detection_drawing, 'LONGEST', 60)
        picture, scale = overview(source)
    assert scale == 0.2
    assert picture.shape == (60, 40, 3)
    assert picture[[10, 50], 20].tolist() == [[0, 0, 0], [200, 0, 0]]
    assert unscaled == 1
    assert np.array_equal(whole, image)
    monkeypatch.undo()
    assert overview(ArrayImage(image[..., ::-1]))[0].tolist() == image.tolist()


def test_boxes_are_drawn_in_their_colors():
    black = np.zeros((50, 50, 3), np.uint8)
    polygons = np.array([[10, 10, 30, 10, 30, 30, 10, 30], [np.nan] * 8, [-1e9, 40, 1e9, 40, 1e9, 45, -1e9, 45]])
    drawn = draw_boxes(black, polygons, np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]]))
    assert (drawn[10, 20] > [200, -1, -1]).all()
    assert (drawn[40, 20] > [-1, -1, 200]).all()
    assert drawn[20, 20].tolist() == [0, 0, 0]
    assert black.max() == drawn[..., 1].max() == 0


def test_legend_names_the_classes_that_there_are():
    picture = np.zeros((40, 300, 3), np.uint8)
    palette = [(255, 0, 0), (0, 255, 0)]
    one = draw_classes(picture, np.array([[10, 10, 30, 10, 30, 30, 10, 30]]), np.array([1]), ('ship', 'plane'), palette)
    assert one.shape == (66, 300, 3)
    assert (one[40:] == [0, 255, 0]).all(axis=-1).any()
    assert not (one == [255, 0, 0]).all(axis=-1).any()
    many = with_legend(picture, [(f'class {i}', (i, i, i)) for i in range(10)])
    assert many.shape[0] > 66

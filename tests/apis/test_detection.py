"""Detection in whole images by a detector that sees what is painted in them."""
import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from overlaps import polygon_iou
from PIL import Image
from torch import nn

from s5_mm.apis import (
    TilingConfig,
    dataset_meta,
    detect,
    detection_drawing,
    draw_boxes,
    draw_classes,
    overview,
    with_legend,
)
from s5_mm.apis.detection import ArrayImage, split
from s5_mm.evaluation import as_polygons
from s5_mm.rasters import open_raster

SETTINGS = TilingConfig(size=128, overlap=64, batch_size=3)


class Painted(nn.Module):
    """Every red blob that keeps away from the border of a patch is a box of class 1, every green one of class 0."""

    def __init__(self, datasets=()):
        super().__init__()
        if datasets:
            self.datasets = datasets
        self.batches = []

    def find_blobs(self, data):
        self.batches.append(data)
        for image, sample in zip(data['inputs'], data['data_samples'], strict=True):
            boxes, labels = [], []
            # Inputs are blue, green, red.
            for label, channel in ((0, 1), (1, 2)):
                mask = (image[channel] > 128).byte().numpy()
                for blob in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
                    points = blob.reshape(-1, 2)
                    if points.min() > 2 and points.max() < len(mask) - 3:
                        (x, y), (w, h), angle = cv2.minAreaRect(points)
                        boxes.append([x + 0.5, y + 0.5, w + 1, h + 1, np.deg2rad(angle)])
                        labels.append(label)
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor(boxes).reshape(-1, 5), scores=torch.linspace(0.2, 0.9, len(boxes)),
                labels=torch.tensor(labels).long())
        return data['data_samples']

    test_step = find_blobs  # as MMEngine calls it


def painted(height, width, boxes):
    """An image, blue, green, red; boxes are (x, y, w, h, angle, label)."""
    image = np.zeros((height, width, 3), np.uint8)
    for *box, label in boxes:
        corners = as_polygons(np.array([box])).reshape(4, 2)
        cv2.fillPoly(image, [corners.round().astype(np.int32)], (0, 255, 0) if label == 0 else (0, 0, 255))
    return image


@pytest.fixture
def scene():
    """Boxes all over an image of 300 x 500 px, and the image."""
    rng = np.random.default_rng(2)
    boxes = [(x, y, *rng.uniform(14, 30, 2), rng.uniform(-1.5, 1.5), int(rng.integers(2)))
             for x in range(30, 480, 44) for y in range(30, 280, 44)]
    return boxes, painted(300, 500, boxes)


def check_found(found, boxes):
    truth = as_polygons(np.array(boxes)[:, :5])
    assert len(found.scores) == len(boxes)
    iou = polygon_iou(truth, found.polygons)
    assert iou.max(axis=1).min() > 0.6
    own = iou.argmax(axis=1)
    assert found.labels[own].tolist() == [label for *_, label in boxes]
    centers = found.polygons[own].reshape(-1, 4, 2).mean(axis=1)
    assert np.abs(centers - np.array(boxes)[:, :2]).max() < 1


def test_a_big_image_gives_every_object_once(scene):
    boxes, image = scene
    model = Painted()
    check_found(detect(model, image, settings=SETTINGS), boxes)
    sizes = [len(batch['inputs']) for batch in model.batches]
    # Starts 0, 64 ... 320, 372 and 0, 64, 128, 172.
    assert sum(sizes) == 7 * 4
    assert sizes[:-1] == [3] * 9


def test_a_file_gives_what_the_array_gives(scene, tmp_path):
    boxes, image = scene
    Image.fromarray(image[..., ::-1]).save(tmp_path / 'x.png')
    of_file, of_array = detect(Painted(), tmp_path / 'x.png', settings=SETTINGS), detect(Painted(), image,
                                                                                         settings=SETTINGS)
    for left, right in zip(of_file, of_array, strict=True):
        assert np.array_equal(left, right)


def test_boxes_seen_at_another_rate_are_in_px_of_the_image(scene):
    boxes, image = scene
    check_found(detect(Painted(), image, settings=TilingConfig(size=256, overlap=128, scales=(2.0, ))), boxes)


def test_what_is_found_at_several_rates_is_merged(scene):
    boxes, image = scene
    check_found(detect(Painted(), image, settings=TilingConfig(size=128, overlap=64, scales=(1.0, 1.3))), boxes)


def test_an_image_smaller_than_a_patch_is_padded():
    boxes = [(30, 20, 20, 10, 0.3, 1)]
    model = Painted()
    found = detect(model, painted(50, 70, boxes), settings=TilingConfig(size=128, overlap=64, pad=(7, 8, 9)))
    check_found(found, boxes)
    [batch] = model.batches
    assert batch['inputs'][0].shape == (3, 128, 128)
    assert batch['inputs'][0][:, 60, 100].tolist() == [9, 8, 7]
    assert batch['data_samples'][0].img_shape == (128, 128)


def test_objects_cut_by_the_gap_are_not_lost():
    """A box of 56 px at each place fits into some patch where the overlap is 64 px."""
    for x in range(40, 260, 20):
        assert len(detect(Painted(), painted(128, 300, [(x, 64, 56, 8, 0, 0)]), settings=SETTINGS).scores) == 1


def test_low_scores_are_left_out(scene):
    _, image = scene
    settings = TilingConfig(size=128, overlap=64, score_thr=0.5)
    assert 0.5 <= detect(Painted(), image, settings=settings).scores.min() < 0.6


def test_the_model_is_told_the_data_set(scene):
    model = Painted(datasets=('dior', 'dota'))
    detect(model, scene[1], 'dota', SETTINGS)
    assert {sample.dataset_name for batch in model.batches for sample in batch['data_samples']} == {'dota'}
    detect(only := Painted(datasets=('dior', )), scene[1], settings=SETTINGS)
    assert only.batches[0]['data_samples'][0].dataset_name == 'dior'
    for name in (None, 'coco'):
        with pytest.raises(ValueError, match=f'the dataset is {name!r}; the model knows dior, dota, choose one'):
            detect(model, scene[1], name, SETTINGS)


def test_windows_cover_an_image_and_lie_inside():
    covered = np.zeros((300, 500), int)
    for window, scale in split((300, 500), SETTINGS):
        assert scale == 1
        covered[window.top:window.top + window.height, window.left:window.left + window.width] += 1
        assert (window.height, window.width) == (128, 128)
        assert window.top + 128 <= 300
        assert window.left + 128 <= 500
    assert covered.min() == 1
    assert list(split((100, 60), SETTINGS)) == [((0, 0, 100, 60), 1.0)]


@pytest.mark.parametrize(('options', 'message'), [
    (dict(size=128, overlap=128), 'overlap is 128 and size is 128; 0 <= overlap < size'),
    (dict(scales=(1.0, 0.0)), r'scales are \(1\.0, 0\.0\); give one or more above 0'),
    (dict(batch_size=0), 'batch_size is 0; it must be at least 1'),
])
def test_impossible_settings(options, message):
    with pytest.raises(ValueError, match=message):
        TilingConfig(**options)


def test_arrays_of_another_form_are_an_error():
    with pytest.raises(ValueError, match=r'the image has the shape \(5, 5\) and the type float64; it must be'):
        detect(Painted(), np.zeros((5, 5)))


def test_classes_of_a_data_set_are_told_without_its_files():
    cfg = Config(dict(default_scope='mmrotate', test_dataloader=dict(
        dota=dict(dataset=dict(type='s5_mm.S5DOTADataset', version='v1.0', data_root='nowhere', pipeline=['x'])),
        dior=dict(dataset=dict(type='s5_mm.DIORRDataset', data_root='nowhere')))))
    assert len(dataset_meta(cfg, 'dota')['classes']) == 15
    assert len(dataset_meta(cfg, 'dior')['palette']) == 20
    with pytest.raises(ValueError, match='the dataset is None; the config has several, choose one of dota, dior'):
        dataset_meta(cfg)


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

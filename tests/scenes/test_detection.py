"""Detection in whole images by a detector that sees what is painted in them."""
import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from overlaps import polygon_iou
from PIL import Image
from scenes_drawn import PLACE, write_scene
from torch import nn

from s5_mm.evaluation import as_polygons
from s5_mm.scenes import SceneModel, TilingConfig, dataset_meta, detect
from s5_mm.scenes.detection import split
from s5_mm.scenes.sink import Parts

SETTINGS = TilingConfig(size=128, overlap=64, batch_size=3)


class Painted(nn.Module):
    """Every red blob that keeps away from the border of a patch is a box of class 1, every green one of class 0.

    Args:
        fails_after: Number of batches, after which it raises a ``KeyboardInterrupt``.
    """

    def __init__(self, fails_after=None):
        super().__init__()
        self.batches, self.fails_after = [], fails_after

    def find_blobs(self, data):
        if len(self.batches) == self.fails_after:
            raise KeyboardInterrupt
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


def model_of(network, dataset=None):
    return SceneModel(network, ('plane', 'ship'), ((0, 255, 0), (255, 0, 0)), dataset, window=128)


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
    check_found(detect(model_of(model), image, SETTINGS), boxes)
    # A line has starts at 0, 64 ... 320, 372; there are lines at 0, 64, 128, 172.
    assert [len(batch['inputs']) for batch in model.batches] == [3, 3, 1] * 4


def test_a_file_gives_what_the_array_gives(scene, tmp_path):
    boxes, image = scene
    Image.fromarray(image[..., ::-1]).save(tmp_path / 'x.png')
    of_file, of_array = detect(model_of(Painted()), tmp_path / 'x.png', SETTINGS), detect(model_of(Painted()), image,
                                                                                         settings=SETTINGS)
    for left, right in zip(of_file[:3], of_array[:3], strict=True):
        assert np.array_equal(left, right)


def test_boxes_seen_at_another_rate_are_in_px_of_the_image(scene):
    boxes, image = scene
    check_found(detect(model_of(Painted()), image, TilingConfig(size=256, overlap=128, scales=(2.0, ))), boxes)


def test_rounded_sizes_of_a_patch_count_for_each_side():
    """An image of 71 x 50 px is seen as one of 36 x 25: the box at (18, 10) is in the middle of its width."""
    class Fixed(nn.Module):
        def test_step(self, data):
            for sample in data['data_samples']:
                sample.pred_instances = InstanceData(bboxes=torch.tensor([[18.0, 10, 9, 5, 0]]),
                                                     scores=torch.ones(1), labels=torch.zeros(1).long())
            return data['data_samples']

    settings = TilingConfig(size=128, overlap=64, scales=(0.5, ))
    found = detect(model_of(Fixed()), np.zeros((50, 71, 3), np.uint8), settings)
    [corners] = found.polygons.reshape(-1, 4, 2)
    assert corners.mean(axis=0).tolist() == pytest.approx([18 * 71 / 36, 20])
    assert np.ptp(corners, axis=0).tolist() == pytest.approx([9 * 71 / 36, 10])


def test_what_is_found_at_several_rates_is_merged(scene):
    boxes, image = scene
    check_found(detect(model_of(Painted()), image, TilingConfig(size=128, overlap=64, scales=(1.0, 1.3))), boxes)


def test_an_image_smaller_than_a_patch_is_padded():
    boxes = [(30, 20, 20, 10, 0.3, 1)]
    model = Painted()
    found = detect(model_of(model), painted(50, 70, boxes), TilingConfig(size=128, overlap=64, pad=(7, 8, 9)))
    check_found(found, boxes)
    [batch] = model.batches
    assert batch['inputs'][0].shape == (3, 128, 128)
    assert batch['inputs'][0][:, 60, 100].tolist() == [9, 8, 7]
    assert batch['data_samples'][0].img_shape == (128, 128)


def test_objects_cut_by_the_gap_are_not_lost():
    """A box of 56 px at each place fits into some patch where the overlap is 64 px."""
    for x in range(40, 260, 20):
        assert len(detect(model_of(Painted()), painted(128, 300, [(x, 64, 56, 8, 0, 0)]), SETTINGS).scores) == 1


def test_low_scores_are_left_out(scene):
    _, image = scene
    settings = TilingConfig(size=128, overlap=64, score_thr=0.5)
    assert 0.5 <= detect(model_of(Painted()), image, settings=settings).scores.min() < 0.6


def test_the_model_is_told_the_dataset(scene):
    model = Painted()
    detect(model_of(model, 'dota'), scene[1], SETTINGS)
    assert {sample.dataset_name for batch in model.batches for sample in batch['data_samples']} == {'dota'}


def test_patches_without_data_are_skipped(scene, tmp_path):
    boxes, image = scene
    values = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)).clip(1)
    values[:, :, 228:] = 0
    model = Painted()
    found = detect(model_of(model), write_scene(tmp_path / 'x.tif', values, nodata=0, photometric='rgb'), SETTINGS)
    check_found(found, [box for box in boxes if box[0] < 230])
    # Of the starts 0, 64 ... 320, 372 in a line, four are below column 228.
    assert sum(len(batch['inputs']) for batch in model.batches) == 4 * 4
    assert found.transform == PLACE['transform']


def test_a_stopped_run_goes_on(scene, tmp_path):
    _, image = scene
    parts, stopped = Parts(tmp_path / 'parts'), Painted(fails_after=7)
    with pytest.raises(KeyboardInterrupt):
        detect(model_of(stopped), image, SETTINGS, parts=parts)
    again = detect(model_of(rest := Painted()), image, SETTINGS, parts=parts)
    assert len(rest.batches) == 6
    for left, right in zip(again[:3], detect(model_of(Painted()), image, SETTINGS)[:3], strict=True):
        assert np.array_equal(left, right)


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
        detect(model_of(Painted()), np.zeros((5, 5)))


def test_classes_of_a_dataset_are_told_without_its_files():
    cfg = Config(dict(default_scope='mmrotate', test_dataloader=dict(
        dota=dict(dataset=dict(type='s5_mm.S5DOTADataset', version='v1.0', data_root='nowhere', pipeline=['x'])),
        dior=dict(dataset=dict(type='s5_mm.DIORRDataset', data_root='nowhere')))))
    assert len(dataset_meta(cfg, 'dota')['classes']) == 15
    assert len(dataset_meta(cfg, 'dior')['palette']) == 20
    with pytest.raises(ValueError, match='the dataset is None; the config has several, choose one of dota, dior'):
        dataset_meta(cfg)

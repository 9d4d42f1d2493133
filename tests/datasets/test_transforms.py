"""Loading and rescaling: exact pixels, and errors where other loaders say nothing."""
import re

import cv2
import numpy as np
import pytest
import rasterio
import torch
from mmengine.registry import init_default_scope
from PIL import Image

from s5_mm.datasets import (
    ImageReadError,
    LoadImage,
    LoadLabels,
    RandomPhotometric,
    RandomRescale,
    UnlabeledMask,
)
from s5_mm.datasets.transforms.loading import read_label_ids
from s5_mm.models.semi import StrongView
from s5_mm.randomness import seeded
from s5_mm.registry import TRANSFORMS


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


def save(path, array, **kwargs):
    Image.fromarray(array).save(path, **kwargs)
    return str(path)


def load(path, **kwargs):
    return LoadImage(**kwargs)({'img_path': str(path)})


def labels(path, **info):
    return LoadLabels()({'seg_map_path': str(path), 'reduce_zero_label': False, 'label_map': None, **info})


RGB = np.array([[[10, 20, 30], [40, 50, 60]]] * 2, np.uint8)


class TestLoadImage:

    @pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.bmp'])
    def test_channels_are_blue_green_red(self, tmp_path, name):
        results = load(save(tmp_path / name, RGB))
        assert results['img'].tolist() == [[[30, 20, 10], [60, 50, 40]]] * 2
        assert results['img'].dtype == np.uint8
        assert results['img'].flags.c_contiguous
        assert results['img_shape'] == results['ori_shape'] == (2, 2)

    def test_equals_mmseg_loader(self, tmp_path):
        path = save(tmp_path / 'a.jpg', np.random.RandomState(0).randint(0, 256, (40, 30, 3), np.uint8))
        reference = TRANSFORMS.build({'type': 'LoadImageFromFile', 'imdecode_backend': 'pillow'})({'img_path': path})
        assert np.array_equal(load(path)['img'], reference['img'])

    @pytest.mark.parametrize(('mode', 'pixel', 'expected'), [
        ('L', 7, [7, 7, 7]), ('LA', (7, 0), [7, 7, 7]), ('1', 1, [255, 255, 255]),
        ('RGBA', (10, 20, 30, 0), [30, 20, 10]), ('P', 3, [33, 22, 11])])
    def test_other_8_bit_modes_become_color(self, tmp_path, mode, pixel, expected):
        image = Image.new(mode, (2, 2), pixel)
        if mode == 'P':
            image.putpalette([0] * 9 + [11, 22, 33])
        image.save(tmp_path / 'a.png')
        assert load(tmp_path / 'a.png')['img'][0, 0].tolist() == expected

    def test_orientation_is_applied(self, tmp_path):
        exif = Image.Exif()
        exif[274] = 6  # turn clockwise
        save(tmp_path / 'a.jpg', np.zeros((8, 16, 3), np.uint8), exif=exif)
        assert load(tmp_path / 'a.jpg')['img_shape'] == (16, 8)

    @pytest.mark.parametrize('array', [np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.float32)])
    def test_deeper_than_8_bits_is_refused(self, tmp_path, array):
        path = save(tmp_path / 'deep.tif', array)
        mode = Image.open(path).mode
        with pytest.raises(ImageReadError, match=rf"deep.tif: it has mode '{mode}'; only 8 bits a channel"):
            load(path)

    def test_16_bit_color_is_refused(self, tmp_path):
        for name in ('deep.png', 'deep.tif'):
            cv2.imwrite(str(tmp_path / name), np.full((2, 2, 3), 40000, np.uint16))
            with pytest.raises(ImageReadError, match='16 bits a channel; only 8 bits'):
                load(tmp_path / name)

    def test_a_geotiff_that_pillow_does_not_know_says_what_it_is(self, tmp_path):
        with rasterio.open(tmp_path / 'deep.tif', 'w', driver='GTiff', width=4, height=4, count=3, dtype='uint16') as f:
            f.write(np.zeros((3, 4, 4), np.uint16))
        with pytest.raises(ImageReadError, match=r'deep.tif: it is a TIFF with 3 bands of uint16; s5_mm.LoadGeoTIFF'):
            load(tmp_path / 'deep.tif')

    @pytest.mark.parametrize('shape', [(1, 5, 3), (5, 1, 3)])
    def test_one_pixel_wide_or_high(self, tmp_path, shape):
        """A flip would leave a negative stride, which torch does not take."""
        with pytest.raises(ImageReadError, match='both sides must have at least 2'):
            load(save(tmp_path / 'line.png', np.zeros(shape, np.uint8)))

    @pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif'])
    def test_truncated_file_raises_with_its_path(self, tmp_path, suffix):
        path = tmp_path / f'half.{suffix}'
        save(path, np.random.RandomState(0).randint(0, 256, (64, 64, 3), np.uint8))
        path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
        with pytest.raises(ImageReadError, match=f'cannot read image .*half.{suffix}') as caught:
            load(path)
        assert caught.value.path == str(path)

    @pytest.mark.parametrize('content', [b'', b'no image', b'\xff\xd8\xff\xe0'])
    def test_garbage_raises(self, tmp_path, content):
        (tmp_path / 'bad.jpg').write_bytes(content)
        with pytest.raises(ImageReadError, match='bad.jpg'):
            load(tmp_path / 'bad.jpg')

    def test_missing_file_raises(self, tmp_path):
        with pytest.raises(ImageReadError, match='gone.png: FileNotFoundError'):
            load(tmp_path / 'gone.png')

    def test_unknown_option_is_refused(self):
        with pytest.raises(TypeError, match='ignore_empty'):
            LoadImage(ignore_empty=True)


class TestLoadLabels:

    def test_ids_are_kept(self, tmp_path):
        path = save(tmp_path / 'm.png', np.array([[0, 2, 255]], np.uint8))
        results = labels(path, num_classes=3, ori_shape=(1, 3))
        assert results['gt_seg_map'].tolist() == [[0, 2, 255]]
        assert results['gt_seg_map'].dtype == np.uint8
        assert results['seg_fields'] == ['gt_seg_map']

    def test_palette_masks_give_their_indices(self, tmp_path):
        image = Image.new('P', (1, 1), 2)
        image.putpalette([0, 0, 0, 9, 9, 9, 200, 100, 50])
        image.save(tmp_path / 'm.png')
        assert labels(tmp_path / 'm.png', num_classes=3)['gt_seg_map'].item() == 2

    @pytest.mark.parametrize('bits', [1, 2, 4])
    def test_masks_of_few_bits(self, tmp_path, bits):
        """Ids as GDAL and PNG store them; Pillow gives 85 for 1 of 2 bits and 17 for 1 of 4."""
        ids = np.array([[0, 1, 1], [2 ** bits - 1, 0, 1]], np.uint8)
        for name, driver, options in (('m.png', 'PNG', {}), ('m.tif', 'GTiff', {}),
                                      ('white.tif', 'GTiff', dict(photometric='MINISWHITE'))):
            with rasterio.open(tmp_path / name, 'w', driver=driver, width=3, height=2, count=1, dtype='uint8',
                               nbits=bits, **options) as file:
                file.write(ids, 1)
            assert read_label_ids(str(tmp_path / name)).tolist() == ids.tolist(), name

    @pytest.mark.parametrize('kind', ['int64', 'float32', 'float64', 'int8'])
    def test_geotiff_of_any_numbers(self, tmp_path, kind):
        ids = np.array([[0, 1, 7]])
        for last in (7, 6.5):
            if last == 6.5 and 'float' not in kind:
                continue
            ids = np.array([[0, 1, last]]).astype(kind)
            with rasterio.open(tmp_path / 'm.tif', 'w', driver='GTiff', width=3, height=1, count=1, dtype=kind) as file:
                file.write(ids, 1)
            if last == 7:
                assert read_label_ids(str(tmp_path / 'm.tif')).tolist() == [[0, 1, 7]]
            else:
                with pytest.raises(ImageReadError, match=f'it has {kind} values that are no class ids'):
                    read_label_ids(str(tmp_path / 'm.tif'))

    @pytest.mark.parametrize('content', [b'', b'no image', b'II*\0', b'\x89PNG\r\n'])
    def test_garbage_raises(self, tmp_path, content):
        (tmp_path / 'bad.png').write_bytes(content)
        with pytest.raises(ImageReadError, match='bad.png'):
            labels(tmp_path / 'bad.png')

    @pytest.mark.parametrize('info', [
        {'reduce_zero_label': True}, {'label_map': {0: 1, 1: 255, 2: 0}},
        {'reduce_zero_label': True, 'label_map': {0: 2, 1: 0, 2: 255}}])
    def test_translates_as_mmseg(self, tmp_path, info):
        path = save(tmp_path / 'm.png', np.array([[0, 1], [2, 255]], np.uint8))
        info = {'seg_map_path': path, 'reduce_zero_label': False, **info}
        reference = TRANSFORMS.build({'type': 'mmseg.LoadAnnotations'})({**info, 'seg_fields': []})
        assert LoadLabels()({**info, 'num_classes': 3})['gt_seg_map'].tolist() == reference['gt_seg_map'].tolist()

    def test_ignore_index_becomes_255(self, tmp_path):
        path = save(tmp_path / 'm.png', np.array([[0, 4, 5]], np.uint8))
        assert labels(path, num_classes=5, ignore_index=5)['gt_seg_map'].tolist() == [[0, 4, 255]]

    @pytest.mark.parametrize(('info', 'ids', 'message'), [
        ({}, [0, 3, 7], 'm.png holds the ids [3, 7]; allowed are 0..2, and 255 (ignored)'),
        ({'ignore_index': 5}, [5, 255], 'm.png holds the ids [255]; allowed are 0..2, and 5 (ignored)'),
        ({'reduce_zero_label': True}, [0, 3, 4], 'm.png holds the ids [4]; allowed are 1..3, and 0, 255 (ignored)'),
        ({'reduce_zero_label': True, 'label_map': {0: 0, 1: 255, 2: 1}, 'label_rule': 'a'}, [2, 7],
         "m.png holds the ids [7]; allowed under label_rule='a' are 1, 3, and 0, 2, 255 (ignored)"),
    ])
    def test_ids_outside_of_the_classes(self, tmp_path, info, ids, message):
        path = save(tmp_path / 'm.png', np.array([ids], np.uint8))
        with pytest.raises(ValueError, match=re.escape(message)):
            labels(path, num_classes=3, **info)

    def test_16_bit_ids_are_not_wrapped_around(self, tmp_path):
        path = save(tmp_path / 'm.png', np.array([[1, 256]], np.uint16))
        with pytest.raises(ValueError, match=r'holds the ids \[256\]'):
            labels(path, num_classes=3)
        path = save(tmp_path / 'm.png', np.array([[1, 2]], np.uint16))
        assert labels(path, num_classes=3)['gt_seg_map'].tolist() == [[1, 2]]

    def test_color_mask(self, tmp_path):
        path = save(tmp_path / 'm.png', RGB)
        with pytest.raises(ImageReadError, match="one integer channel, this one has mode 'RGB'"):
            labels(path, num_classes=3)

    def test_other_size_than_the_image(self, tmp_path):
        path = save(tmp_path / 'm.png', np.zeros((4, 5), np.uint8))
        with pytest.raises(ValueError, match=r'i.png is 5 x 3 pixels, .*m.png is 5 x 4'):
            labels(path, num_classes=3, img_path='i.png', ori_shape=(3, 5))

    def test_after_a_resize_of_the_image(self, tmp_path):
        path = save(tmp_path / 'm.png', np.zeros((4, 5), np.uint8))
        results = labels(path, num_classes=3, img_path='i.png', ori_shape=(4, 5), img=np.zeros((8, 10, 3)))
        assert results['gt_seg_map'].shape == (4, 5)


class TestRandomRescale:

    def test_sizes_reach_the_whole_range(self):
        np.random.seed(0)
        transform = RandomRescale(ratio_range=(0.5, 2.0))
        sizes = {transform({'img': np.zeros((4, 8, 3), np.uint8)})['img'].shape for _ in range(400)}
        # Long side 4 ... 16; the short side is half of it, rounded half up.
        assert sizes == {((long + 1) // 2, long, 3) for long in range(4, 17)}

    def test_mask_follows_by_nearest(self):
        mask = np.array([[0, 255], [3, 7]], np.uint8)
        results = RandomRescale((2, 2))(
            {'img': np.zeros((2, 2, 3), np.uint8), 'gt_seg_map': mask, 'seg_fields': ['gt_seg_map']})
        assert results['gt_seg_map'].tolist() == mask.repeat(2, 0).repeat(2, 1).tolist()
        assert results['img'].shape == (4, 4, 3)
        assert results['img_shape'] == (4, 4)
        assert results['scale_factor'] == (2, 2)

    def test_image_is_bilinear(self):
        img = np.array([[[0] * 3, [100] * 3]], np.uint8)
        assert RandomRescale((2, 2))({'img': img})['img'][0, :, 0].tolist() == [0, 25, 75, 100]

    def test_same_seed_same_size(self):
        def draw():
            np.random.seed(3)
            return RandomRescale()({'img': np.zeros((50, 40, 3), np.uint8)})['img'].shape
        assert draw() == draw()

    def test_never_vanishes(self):
        assert RandomRescale((0.1, 0.1))({'img': np.zeros((1, 3, 3), np.uint8)})['img'].shape == (1, 1, 3)

    @pytest.mark.parametrize('ratio_range', [(0, 1), (2, 1), (1,)])
    def test_impossible_range(self, ratio_range):
        with pytest.raises(ValueError, match='0 < smallest <= largest'):
            RandomRescale(ratio_range)


class TestPixelsWithoutData:

    def image(self, tmp_path):
        rgba = np.full((2, 3, 4), 200, np.uint8)
        rgba[0, 1, 3] = 0
        rgba[1, 2, 3] = 1
        return load(save(tmp_path / 'a.png', rgba))

    def test_transparency(self, tmp_path):
        assert self.image(tmp_path)['has_data'].tolist() == [[True, False, True], [True] * 3]
        assert 'has_data' not in load(save(tmp_path / 'b.png', RGB))
        opaque = np.full((2, 2, 4), 255, np.uint8)
        assert 'has_data' not in load(save(tmp_path / 'c.png', opaque))

    def test_labels_are_ignored_there(self, tmp_path):
        path = save(tmp_path / 'mask.png', np.array([[1, 1, 0], [0, 1, 255]], np.uint8))
        results = labels(path, **self.image(tmp_path))
        assert results['gt_seg_map'].tolist() == [[1, 255, 0], [0, 1, 255]]

    def test_the_unlabeled_mask_marks_them(self, tmp_path):
        results = UnlabeledMask()(self.image(tmp_path))
        assert results['gt_seg_map'].tolist() == [[0, 255, 0], [0, 0, 0]]
        small = dict(self.image(tmp_path), img=np.zeros((1, 1, 3), np.uint8))
        with pytest.raises(ValueError, match=r'size \(2, 3\) and has \(1, 1\) now; put this step behind the loading'):
            UnlabeledMask()(small)


def test_unlabeled_mask_tells_image_from_padding():
    results = UnlabeledMask()({'img': np.ones((2, 3, 3), np.uint8)})
    results = TRANSFORMS.build({'type': 'Pad', 'size': (3, 4), 'pad_val': {'img': 0, 'seg': 255}})(results)
    assert results['gt_seg_map'].tolist() == [[0] * 3, [0] * 3, [255] * 3, [255] * 3]


class TestRandomPhotometric:
    IMG = np.random.RandomState(0).randint(0, 256, (8, 10, 3), np.uint8)

    def test_equals_the_strong_view(self):
        """The image goes through as red, green, blue in [0, 1] and comes back as blue, green, red in 0-255."""
        rgb = torch.tensor(self.IMG[..., ::-1].transpose(2, 0, 1).copy())[None].float() / 255
        with seeded(5):
            expected = StrongView()(rgb)[0].numpy().transpose(1, 2, 0)[..., ::-1] * 255
        with seeded(5):
            img = RandomPhotometric()({'img': self.IMG.copy()})['img']
        assert img.dtype == np.uint8
        assert np.abs(img - expected).max() <= 0.5
        assert (img != self.IMG).any()

    def test_switched_off(self):
        off = RandomPhotometric(jitter_prob=0, gray_prob=0, blur_prob=0)
        assert np.array_equal(off({'img': self.IMG.copy()})['img'], self.IMG)

    def test_other_images_are_refused(self):
        with pytest.raises(ValueError, match=r'8-bit image of three channels, .* has \(2, 2, 4\) of uint8: a.tif'):
            RandomPhotometric()({'img': np.zeros((2, 2, 4), np.uint8), 'img_path': 'a.tif'})

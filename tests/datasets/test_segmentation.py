"""Labeled datasets from a config, and what is said about wrong data before training starts."""
import logging
import re
import shutil

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from s5_mm.datasets import ISAIDDataset, SegDataset
from s5_mm.registry import DATASETS

CLASSES = {'classes': ('a', 'b', 'c'), 'palette': [[0, 0, 0], [1, 1, 1], [2, 2, 2]]}
PIPELINE = [
    {'type': 's5_mm.LoadImage'}, {'type': 's5_mm.LoadLabels'}, {'type': 's5_mm.RandomRescale'},
    {'type': 'RandomCrop', 'crop_size': (16, 16)}, {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
    {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'vertical'}, {'type': 'PackSegInputs'}]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


@pytest.fixture
def root(tmp_path):
    """Five pairs of 12 rows x 20 columns; image i is gray i, its mask holds id i % 3."""
    for i in range(5):
        write(tmp_path, f'{i}', np.full((12, 20, 3), i, np.uint8), np.full((12, 20), i % 3, np.uint8))
    return tmp_path


def write(root, name, image, mask):
    for folder, array in (('img', image), ('ann', mask)):
        (root / folder).mkdir(exist_ok=True)
        if array is not None:
            Image.fromarray(array).save(root / folder / f'{name}.png')


def build(root, **kwargs):
    config = {'type': 's5_mm.SegDataset', 'data_root': str(root), 'img_suffix': '.png', 'metainfo': CLASSES,
              'data_prefix': {'img_path': 'img', 'seg_map_path': 'ann'}, **kwargs}
    return DATASETS.build(config)


class TestWorking:

    def test_pairs_and_metainfo(self, root):
        dataset = build(root)
        assert len(dataset) == 5
        info = dataset.get_data_info(4)
        assert info['img_path'] == f'{root}/img/4.png'
        assert info['seg_map_path'] == f'{root}/ann/4.png'
        assert (info['num_classes'], info['ignore_index']) == (3, 255)
        assert dataset.metainfo['classes'] == CLASSES['classes']

    def test_training_pipeline(self, root):
        np.random.seed(0)
        dataset = build(root, pipeline=PIPELINE)
        for i, sample in enumerate(dataset[i] for i in range(5)):
            labels = sample['data_samples'].gt_sem_seg.data
            assert labels.shape[1:] == sample['inputs'].shape[1:]
            assert labels.unique().tolist() == [i % 3]
            assert sample['inputs'].unique().tolist() == [i]

    def test_list_file_and_indices(self, root):
        (root / 'list.txt').write_text('3\n1\n')
        dataset = build(root, ann_file='list.txt')
        assert [dataset.get_data_info(i)['img_path'][-5:] for i in range(2)] == ['3.png', '1.png']
        assert len(build(root, indices=2)) == 2

    def test_without_labels_in_test_mode(self, root):
        pipeline = [{'type': 's5_mm.LoadImage'}, {'type': 'PackSegInputs'}]
        dataset = build(root, data_prefix={'img_path': 'img'}, test_mode=True, pipeline=pipeline)
        assert len(dataset) == 5
        assert 'gt_sem_seg' not in dataset[0]['data_samples']

    def test_isaid_crops(self, root):
        dataset = ISAIDDataset(data_root=str(root), data_prefix={'img_path': 'img', 'seg_map_path': 'ann'})
        assert len(dataset) == 5
        assert dataset.metainfo['classes'][15] == 'Harbor'
        assert dataset.get_data_info(0)['num_classes'] == 16

    def test_subset_of_the_classes_checks_the_ids_on_disk(self, root):
        write(root, '5', np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 15, np.uint8))
        dataset = ISAIDDataset(data_root=str(root), data_prefix={'img_path': 'img', 'seg_map_path': 'ann'},
                               metainfo={'classes': ('background', 'Harbor')}, pipeline=[{'type': 's5_mm.LoadLabels'}])
        assert dataset[5]['gt_seg_map'].max() == 1
        assert dataset[2]['gt_seg_map'].min() == 255

    @pytest.mark.parametrize('suffix', ['png', 'jpg'])
    def test_turned_image_is_no_error(self, root, monkeypatch, suffix):
        """It is told, since the mask must be upright, too."""
        texts, exif = [], Image.Exif()
        monkeypatch.setattr('s5_mm.datasets.segmentation.print_log', lambda text, *_: texts.append(text))
        exif[274] = 6
        for i in range(5):
            (root / f'img/{i}.png').unlink()
            turned = Image.fromarray(np.zeros((20, 12, 3), np.uint8))
            turned.save(root / 'img' / f'{i}.{suffix}', **(dict(exif=exif) if i < 2 else {}))
            if i > 1:
                Image.fromarray(np.zeros((12, 20, 3), np.uint8)).save(root / 'img' / f'{i}.{suffix}')
        assert len(build(root, img_suffix=f'.{suffix}')) == 5
        assert '2 of 5 checked images have an EXIF orientation' in texts[0]
        Image.fromarray(np.zeros((12, 20, 3), np.uint8)).save(root / 'img' / f'0.{suffix}', exif=exif)
        with pytest.raises(ValueError, match=rf'0.{suffix} is 12 x 20 pixels, .*0.png is 20 x 12'):
            build(root, img_suffix=f'.{suffix}')


class TestErrorsAtStart:

    @pytest.mark.parametrize(('prefix', 'message'), [
        ({'img_path': 'none', 'seg_map_path': 'ann'}, 'image directory {}/none does not exist'),
        ({'img_path': 'img', 'seg_map_path': 'none'}, 'label directory {}/none does not exist')])
    def test_missing_directory(self, root, prefix, message):
        with pytest.raises(FileNotFoundError, match=re.escape(message.format(root))):
            build(root, data_prefix=prefix)

    def test_missing_root(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="data_root='nowhere'"):
            build('nowhere')

    def test_empty_folder(self, root):
        with pytest.raises(ValueError, match=re.escape(f"no image: looked in image directory {root}/img "
                                                       "(img_suffix='.jpg')")):
            build(root, img_suffix='.jpg')

    def test_images_without_mask(self, root):
        for i in range(4):
            (root / 'ann' / f'{i}.png').unlink()
        with pytest.raises(ValueError, match=r'4 of 5 images have no label mask in .*0.png, .*1.png, .*2.png, \.'):
            build(root)

    def test_list_file(self, root):
        with pytest.raises(FileNotFoundError, match='list file .*none.txt does not exist'):
            build(root, ann_file='none.txt')
        (root / 'list.txt').write_text('0\nabsent\n')
        with pytest.raises(FileNotFoundError, match=r'1 of 2 images listed in .*list.txt do not exist: .*absent.png'):
            build(root, ann_file='list.txt')
        (root / 'list.txt').write_text('')
        with pytest.raises(ValueError, match='no image: looked in list file .*list.txt'):
            build(root, ann_file='list.txt')

    def test_sizes_differ(self, root):
        write(root, '3', None, np.zeros((12, 19), np.uint8))
        with pytest.raises(ValueError, match=r'3.png is 20 x 12 pixels, .*3.png is 19 x 12 \(width x height\)'):
            build(root)

    def test_damaged_header(self, root):
        (root / 'img' / '2.png').write_bytes(b'x')
        with pytest.raises(OSError, match='cannot read image .*img/2.png'):
            build(root)

    def test_impossible_ids(self, root):
        write(root, '1', None, np.full((12, 20), 3, np.uint8))
        with pytest.raises(ValueError, match=r'ann/1.png holds the ids \[3\]; allowed are 0..2, and 255 \(ignored\)'):
            build(root)

    def test_label_rules(self, root):
        with pytest.raises(ValueError, match="`label_rule` is 'mmseg'; allowed in SegDataset: none"):
            build(root, label_rule='mmseg')

    def test_no_classes(self, root):
        with pytest.raises(ValueError, match=r'SegDataset needs `metainfo=dict\(classes='):
            build(root, metainfo=None)

    def test_no_labels_in_training(self, root):
        with pytest.raises(ValueError, match='no `seg_map_path`.*only `test_mode=True`'):
            build(root, data_prefix={'img_path': 'img'})

    def test_ignore_index(self, root):
        with pytest.raises(ValueError, match='`ignore_index` is -1; it must be'):
            build(root, ignore_index=-1)

    def test_lazy_init_waits(self, root):
        dataset = build(root, data_prefix={'img_path': 'none', 'seg_map_path': 'ann'}, lazy_init=True)
        with pytest.raises(FileNotFoundError, match='image directory'):
            dataset.full_init()


class TestErrorsAtLoad:

    def test_unchecked_pairs_are_checked_when_loaded(self, root):
        write(root, '1', None, np.full((12, 20), 9, np.uint8))
        write(root, '3', None, np.zeros((12, 19), np.uint8))
        dataset = build(root, num_checked=2, pipeline=PIPELINE)  # looks at the first and the last
        with pytest.raises(ValueError, match=r'ann/1.png holds the ids \[9\]'):
            dataset[1]
        with pytest.raises(ValueError, match=r'ann/3.png is 19 x 12'):
            dataset[3]

    def test_truncated_image_names_the_file(self, root):
        path = root / 'img' / '2.png'
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(OSError, match='cannot read image .*img/2.png'):
            build(root, pipeline=PIPELINE)[2]


class TestReports:
    """What is said of data that can be read and is probably not what was meant."""

    @pytest.fixture
    def messages(self, monkeypatch):
        """Texts by level."""
        texts = {logging.INFO: [], logging.WARNING: []}
        monkeypatch.setattr('s5_mm.datasets.segmentation.print_log',
                            lambda text, _, level=logging.INFO: texts[level].append(text))
        return texts

    def test_shares(self, root, messages):
        """Ids 0, 1, 2, 0, 1 fill a mask each; half of the last one is ignored."""
        mask = np.full((12, 20), 1, np.uint8)
        mask[:6] = 255
        write(root, '4', None, mask)
        build(root)
        assert messages[logging.INFO] == [f'SegDataset: 5 of 5 label masks in {root}/ann show a 44.4%, b 33.3%, '
                                          'c 22.2%; 10.0% of all pixels ignored']
        assert not messages[logging.WARNING]

    def test_suffixes_in_any_case(self, root, messages):
        (root / 'img/0.png').rename(root / 'img/0.PNG')
        (root / 'ann/1.png').rename(root / 'ann/1.Png')
        shutil.copy(root / 'img/2.png', root / 'img/2.PNG')  # the exact case counts, and once
        dataset = build(root)
        assert [dataset.get_data_info(i)['img_path'][-5:] for i in range(5)] == [
            '0.PNG', '1.png', '2.png', '3.png', '4.png']
        assert dataset.get_data_info(1)['seg_map_path'].endswith('ann/1.Png')
        assert not messages[logging.WARNING]

    def test_images_that_are_left_out(self, root, messages):
        for name in ('5.jpg', '6.JPG', 'notes.txt'):
            (root / 'img' / name).touch()
        build(root)
        [text] = messages[logging.WARNING]
        assert "2 images" in text
        assert "img_suffix='.png'" in text
        assert '(5.jpg, 6.JPG); 5 are used' in text

    def test_masks_of_0_and_255(self, root, messages):
        """255 is the default of ``ignore_index``, so every object is ignored and one class is left."""
        for i in range(5):
            mask = np.zeros((12, 20), np.uint8)
            mask[:6] = 255
            write(root, str(i), None, mask)
        build(root, metainfo=dict(classes=('background', 'building'), palette=[[0, 0, 0], [1, 1, 1]]))
        ignored, absent = messages[logging.WARNING]
        assert re.search('50% of the pixels .* convert the masks to the ids 0, 1', ignored)
        assert re.search('No pixel of 5 of 5 .* has the class building; compare the order', absent)

    def test_shifted_ids(self, root, messages):
        """Ids 1 to 3 with ``reduce_zero_label`` forgotten are an error; 0 to 2 with it given lose a class."""
        build(root, reduce_zero_label=True)
        assert re.search('40% of the pixels .* set reduce_zero_label=False', messages[logging.WARNING][0])
        assert 'has the class c' in messages[logging.WARNING][1]

    def test_a_part_of_the_masks_may_lack_a_class(self, root, messages, monkeypatch):
        monkeypatch.setattr('s5_mm.datasets.segmentation.MASKS_CHECKED', 2)  # those with the ids 0 and 1
        build(root)
        assert not messages[logging.WARNING]
        write(root, '4', None, np.zeros((12, 20), np.uint8))
        build(root)
        assert 'has the class b, c' in messages[logging.WARNING][0]

    def test_all_ignored(self, root, messages):
        for i in range(5):
            write(root, str(i), None, np.full((12, 20), 255, np.uint8))
        with pytest.raises(ValueError, match=r'All pixels of 5 of 5 label masks in .*ann are ignored'):
            build(root)
        build(root, test_mode=True)
        assert '100% of the pixels' in messages[logging.WARNING][0]


def test_is_a_base_seg_dataset():
    from mmseg.datasets import BaseSegDataset
    assert issubclass(SegDataset, BaseSegDataset)

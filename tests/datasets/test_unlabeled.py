"""Unlabeled pools: sources, order, memory, replacement of damaged images and how it is logged."""
import logging
import os
import pickle
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from PIL import Image

from s5_mm.datasets import ImageReadError, UnlabeledDataset
from s5_mm.engine.hooks.unreadable_images_hook import UnreadableImagesHook
from s5_mm.registry import DATASETS

META = ('img_path', 'ori_shape', 'img_shape', 'unreadable')
PIPELINE = [{'type': 's5_mm.LoadImage'}, {'type': 's5_mm.UnlabeledMask'}, {'type': 's5_mm.RandomRescale'},
            {'type': 'RandomCrop', 'crop_size': (8, 8)}, {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
            {'type': 'PackSegInputs', 'meta_keys': META}]
NAMES = ['b/2.png', 'a.jpg', 'b/1.TIF', 'c.jpeg']


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / 'pool'
    (folder / 'b').mkdir(parents=True)
    for i, name in enumerate(NAMES):
        Image.fromarray(np.full((16, 16, 3), 10 * i, np.uint8)).save(folder / name)
    (folder / 'notes.txt').write_text('no image')
    return folder


def manifest(path, names, **columns):
    pq.write_table(pa.table({'path': names, **columns}), path)
    return str(path)


def listing(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def names(dataset, root):
    return [os.path.relpath(dataset.get_data_info(i)['img_path'], root) for i in range(len(dataset))]


class TestSources:

    def test_folder_is_sorted_and_searched_below(self, root):
        assert names(UnlabeledDataset(str(root)), root) == ['a.jpg', 'b/1.TIF', 'b/2.png', 'c.jpeg']

    def test_folder_with_a_ring_of_links(self, root):
        (root / 'b' / 'ring').symlink_to(root)
        assert len(UnlabeledDataset(str(root))) == 4

    def test_list_keeps_its_order(self, root, tmp_path):
        source = listing(tmp_path / 'list.txt', 'c.jpeg\r\n\n  b/2.png \na.jpg')
        assert names(UnlabeledDataset(source, data_root=str(root)), root) == ['c.jpeg', 'b/2.png', 'a.jpg']

    def test_list_takes_any_name(self, root, tmp_path):
        odd = ['a, "b" c.png', "it's.png", 'ä#.png', 'NA', 'null']
        for name in odd:
            Image.new('RGB', (2, 2)).save(root / name, format='PNG')
        source = listing(tmp_path / 'list.txt', '\n'.join(odd))
        assert names(UnlabeledDataset(source, data_root=str(root)), root) == odd

    @pytest.mark.parametrize('kind', [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
    def test_parquet_keeps_its_order_and_ignores_columns(self, root, tmp_path, kind):
        source = manifest(tmp_path / 'm.parquet', pa.array(NAMES, pa.string()).cast(kind), entropy=[0.1, 0.2, 0.3, 0.4])
        dataset = DATASETS.build({'type': 's5_mm.UnlabeledDataset', 'source': source, 'data_root': str(root)})
        assert names(dataset, root) == NAMES

    def test_parquet_of_several_row_groups(self, root, tmp_path):
        pq.write_table(pa.table({'path': NAMES}), tmp_path / 'm.parquet', row_group_size=1)
        assert names(UnlabeledDataset(str(tmp_path / 'm.parquet'), data_root=str(root)), root) == NAMES

    def test_source_below_data_root_and_absolute_paths(self, root):
        listing(root / 'list.txt', f'{root}/a.jpg\nc.jpeg')
        assert names(UnlabeledDataset('list.txt', data_root=str(root)), root) == ['a.jpg', 'c.jpeg']

    def test_indices_and_subsets(self, root):
        assert names(UnlabeledDataset(str(root), indices=2), root) == ['a.jpg', 'b/1.TIF']
        assert names(UnlabeledDataset(str(root), indices=[3, 0]), root) == ['c.jpeg', 'a.jpg']
        dataset = UnlabeledDataset(str(root))
        assert names(dataset.get_subset(-1), root) == ['c.jpeg']
        assert len(dataset) == 4

    def test_indices_from_the_end(self, root):
        dataset = UnlabeledDataset(str(root))
        assert dataset.get_data_info(-1)['sample_idx'] == 3
        with pytest.raises(IndexError, match='index 4 is outside of the 4'):
            dataset.get_data_info(4)


class TestErrors:

    def test_missing_source(self, root):
        with pytest.raises(FileNotFoundError, match=f"source 'gone' does not exist, looked for gone and {root}/gone"):
            UnlabeledDataset('gone', data_root=str(root))

    def test_empty_folder(self, tmp_path):
        with pytest.raises(ValueError, match=rf'no image in the folder {tmp_path} or below it \(looked for .jpg'):
            UnlabeledDataset(str(tmp_path))

    def test_nothing_listed(self, tmp_path):
        for text in ('', '\n \n'):
            with pytest.raises(ValueError, match='list.txt lists no image'):
                UnlabeledDataset(listing(tmp_path / 'list.txt', text))
        with pytest.raises(ValueError, match='m.parquet lists no image'):
            UnlabeledDataset(manifest(tmp_path / 'm.parquet', pa.array([], pa.string())))

    def test_wrong_root(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="none of the first 2 images .* elsewhere/a.jpg; .*'elsewhere'"):
            UnlabeledDataset(listing(tmp_path / 'list.txt', 'a.jpg\nb.jpg'), data_root='elsewhere')

    def test_doubled_path(self, root, tmp_path):
        with pytest.raises(ValueError, match="lists 'a.jpg' more than once"):
            UnlabeledDataset(listing(tmp_path / 'list.txt', 'a.jpg\nc.jpeg\na.jpg'), data_root=str(root))

    def test_doubled_path_is_found_anywhere(self, tmp_path):
        from s5_mm.datasets.unlabeled import _first_doubled
        paths = [f'{i:06d}' for i in range(70000)]  # more than one block of the search
        assert _first_doubled(pa.array(paths, pa.large_string())) is None
        for twice in (0, 65535, 65536, 69999):
            assert _first_doubled(pa.array([*paths, paths[twice]], pa.large_string())) == paths[twice]

    def test_parquet_columns(self, tmp_path):
        pq.write_table(pa.table({'file': ['a'], 'entropy': [1.0]}), tmp_path / 'm.parquet')
        with pytest.raises(ValueError, match='no column `path`; its columns are file, entropy'):
            UnlabeledDataset(str(tmp_path / 'm.parquet'))
        with pytest.raises(ValueError, match='column `path` of .* holds int64; it must hold text'):
            UnlabeledDataset(manifest(tmp_path / 'm.parquet', [1, 2]))
        with pytest.raises(ValueError, match='entries without a path'):
            UnlabeledDataset(manifest(tmp_path / 'm.parquet', ['a', None]))
        with pytest.raises(ValueError, match='is not a Parquet file'):
            UnlabeledDataset(listing(tmp_path / 'm.parquet', 'a.jpg'))

    def test_an_image_is_no_list(self, tmp_path):
        with pytest.raises(ValueError, match='list.PNG is an image; give its folder, or a list file'):
            UnlabeledDataset(listing(tmp_path / 'list.PNG', 'a.jpg'))

    def test_list_that_is_no_text(self, tmp_path):
        with pytest.raises(ValueError, match='list.txt is not a list file'):
            UnlabeledDataset(listing(tmp_path / 'list.txt', b'\xff\xfe\x00a'))

    def test_settings(self, root):
        with pytest.raises(ValueError, match='`max_replacements` is -1'):
            UnlabeledDataset(str(root), max_replacements=-1)
        with pytest.raises(ValueError, match='`indices` is 5; a number must be 1..4 or -4..-1'):
            UnlabeledDataset(str(root), indices=5)
        with pytest.raises(TypeError, match='filter_cfg'):
            UnlabeledDataset(str(root), filter_cfg={})


class TestMemory:

    def test_a_path_costs_its_text_and_an_offset(self, root, tmp_path):
        many = ['a.jpg', *(f'x/{i:018d}' for i in range(20000))]
        for source in (manifest(tmp_path / 'm.parquet', many), listing(tmp_path / 'l.txt', '\n'.join(many))):
            dataset = UnlabeledDataset(source, data_root=str(root))
            # 20 bytes of text and an offset of 8; everything but the pipeline is in the pickle.
            assert len(pickle.dumps(dataset)) < 20001 * 28 + 8000

    def test_subset_shares_the_text(self, root):
        dataset = UnlabeledDataset(str(root))
        shared, own = (part._paths.buffers()[2].address for part in (dataset.get_subset(2), dataset))
        assert shared == own

    def test_forked_child_reads_the_same_buffer(self, root):
        dataset = UnlabeledDataset(str(root))
        pid = os.fork()
        if pid == 0:
            same = dataset.get_data_info(1)['img_path'] == f'{root}/b/1.TIF'
            os._exit(0 if same else 1)
        assert os.waitpid(pid, 0)[1] == 0

    def test_python_objects_do_not_grow_with_the_pool(self, tmp_path):
        """50,000 paths as Python strings alone would take 5 MB; Arrow's memory is not Python's."""
        text = '\n'.join(f'{i:050d}' for i in range(50000))
        (tmp_path / f'{0:050d}').touch()
        for source in (listing(tmp_path / 'l.txt', text), manifest(tmp_path / 'm.parquet', text.split('\n'))):
            tracemalloc.start()
            dataset = UnlabeledDataset(source, data_root=str(tmp_path))
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert len(dataset) == 50000
            assert peak < 500_000
            assert dataset._paths.get_total_buffer_size() == 50000 * 50 + 50001 * 8


def damage(path):
    path.write_bytes(path.read_bytes()[:100])


class TestReplacement:

    def test_readable_images_have_an_empty_record(self, root):
        sample = UnlabeledDataset(str(root), PIPELINE)[0]['data_samples']
        assert sample.unreadable == ()
        assert sample.gt_sem_seg.data.max() == 0

    def test_replaced_and_recorded(self, root):
        damage(root / 'a.jpg')
        np.random.seed(0)
        dataset = UnlabeledDataset(str(root), PIPELINE)
        for _ in range(5):
            sample = dataset[0]['data_samples']
            assert sample.img_path != f'{root}/a.jpg'
            assert set(sample.unreadable) == {f'{root}/a.jpg'}

    def test_depends_on_the_seed_alone(self, root):
        damage(root / 'a.jpg')
        dataset = UnlabeledDataset(str(root), PIPELINE)

        def draw(seed):
            np.random.seed(seed)
            sample = dataset[0]
            return sample['data_samples'].img_path, sample['inputs'].shape
        assert [draw(seed) for seed in range(8)] == [draw(seed) for seed in range(8)]
        assert len({draw(seed)[0] for seed in range(8)}) > 1

    def test_gives_up(self, root):
        for name in NAMES:
            damage(root / name)
        dataset = UnlabeledDataset(str(root), PIPELINE, max_replacements=3)
        with pytest.raises(RuntimeError, match=r'4 unlabeled images in a row are unreadable \(max_replacements=3\)'):
            dataset[0]

    def test_other_errors_are_not_swallowed(self, root):
        def broken(results):
            raise ValueError('a mistake in a transform')
        with pytest.raises(ValueError, match='a mistake in a transform'):
            UnlabeledDataset(str(root), [broken])[0]

    def test_test_mode_raises(self, root):
        damage(root / 'a.jpg')
        with pytest.raises(ImageReadError, match='a.jpg'):
            UnlabeledDataset(str(root), PIPELINE, test_mode=True)[0]


class Counting(BaseModel):

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode='loss'):
        return {'loss': self.weight.square()}


def run(root, work_dir, iterations):
    dataset = UnlabeledDataset(str(root), [{'type': 's5_mm.LoadImage'}, {'type': 'PackSegInputs', 'meta_keys': META}])
    runner = Runner(
        Counting(), str(work_dir), default_scope='mmseg', experiment_name=os.urandom(4).hex(), log_level='INFO',
        train_dataloader={'dataset': dataset, 'batch_size': 2, 'num_workers': 0,
                          'sampler': {'type': 'InfiniteSampler', 'shuffle': False},
                          'collate_fn': {'type': 'pseudo_collate'}},
        train_cfg={'by_epoch': False, 'max_iters': iterations},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        custom_hooks=[{'type': 's5_mm.UnreadableImagesHook', 'interval': 1}],
        default_hooks={'checkpoint': None, 'logger': {'type': 'LoggerHook', 'interval': 1}})
    runner.train()
    return runner


class FakeRunner:
    iter, max_iters, logger = 0, 9, logging.getLogger('test_unlabeled')

    def __init__(self, name):
        self.message_hub = MessageHub(name)


class TestHook:

    def test_counts_and_warns_once(self, root, tmp_path):
        damage(root / 'a.jpg')
        damage(root / 'c.jpeg')
        np.random.seed(1)
        runner = run(root, tmp_path / 'work', 4)
        assert runner.message_hub.get_scalar('train/unreadable').current() == 2
        log = (tmp_path / 'work' / runner.timestamp / f'{runner.timestamp}.log').read_text()
        assert log.count(f'replaced by another one: {root}/a.jpg') == 1
        assert log.count(f'replaced by another one: {root}/c.jpeg') == 1
        assert '  unreadable: 2' in log

    def test_checkpoints_carry_the_known_paths(self, caplog):
        first, resumed = FakeRunner('first'), FakeRunner('resumed')
        batch = {'data_samples': [BaseDataElement(metainfo={'unreadable': ('x', 'y')})]}
        UnreadableImagesHook(interval=1).after_train_iter(first, 0, batch)
        resumed.message_hub.load_state_dict(first.message_hub.state_dict())
        hook = UnreadableImagesHook(interval=1)
        hook.before_train(resumed)
        caplog.clear()
        hook.after_train_iter(resumed, 0, {'data_samples': [BaseDataElement(metainfo={'unreadable': ('x', 'z')})]})
        assert [record.message[-2:] for record in caplog.records] == [' z']
        assert resumed.message_hub.get_scalar('train/unreadable').current() == 3

    def test_silent_while_all_is_well(self, root, tmp_path):
        runner = run(root, tmp_path / 'work', 2)
        assert 'train/unreadable' not in runner.message_hub.log_scalars

    def test_branches_of_a_batch(self):
        runner = FakeRunner('branches')
        fine, replaced = BaseDataElement(metainfo={'unreadable': ()}), BaseDataElement(metainfo={'unreadable': ('x',)})
        batch = {'data_samples': {'labeled': [BaseDataElement()], 'unlabeled': [replaced, fine, replaced]}}
        UnreadableImagesHook(interval=1).after_train_iter(runner, 0, batch)
        assert runner.message_hub.get_scalar('train/unreadable').current() == 1

    def test_interval(self):
        with pytest.raises(ValueError, match='`interval` is 0'):
            UnreadableImagesHook(interval=0)

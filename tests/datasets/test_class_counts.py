"""Class counts, rare class sampling, and the command that counts."""
import itertools
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from running import ROOT, command

from s5_mm.datasets import MultiSourceDataset, MultiSourceSampler
from s5_mm.datasets.class_counts import ClassCounts
from s5_mm.datasets.samplers import RareClasses, SourceSubset
from s5_mm.registry import DATASETS


@pytest.mark.parametrize('temperature', ['0.01', '0.1', '1.0'])
def test_published_probabilities(temperature):
    golden = np.load(ROOT / 'tests/golden/thresholds.npz')
    rare = RareClasses(golden['rcs_pixels'], temperature=float(temperature))
    assert np.allclose(rare.probs, golden[f'rcs_{temperature}'], atol=1e-6)


def test_images_of_a_class():
    rare = RareClasses(np.array([[900, 0, 0], [500, 200, 3], [600, 50, 0]]), temperature=1e6, min_pixels=100)
    assert [images.tolist() for images in rare.images] == [[0, 1, 2], [1], [1]]
    # As many as are asked for are enough; of the second class no image has more than one.
    exact = RareClasses(np.array([[100, 1], [99, 0]]), min_pixels=100)
    assert [images.tolist() for images in exact.images] == [[0], [0]]
    rng = np.random.default_rng(0)
    drawn = Counter(rare.draw(rng) for _ in range(900))
    assert drawn[1] == pytest.approx(700, abs=60)
    for options, message in ((dict(temperature=0), 'temperature is 0'), (dict(min_pixels=0), 'min_pixels 0')):
        with pytest.raises(ValueError, match=message):
            RareClasses(np.ones((2, 2)), **options)
    with pytest.raises(ValueError, match='no image shows any class'):
        RareClasses(np.zeros((2, 2)))


@pytest.fixture
def crops(tmp_path):
    """Three crops: background; four pixels of class 3; padding and class 3."""
    for folder in ('img_dir/train', 'ann_dir/train'):
        (tmp_path / folder).mkdir(parents=True)
    masks = np.zeros((3, 8, 8), dtype=np.uint8)
    masks[1, :2, :2] = 3
    masks[2, 4:] = 255
    masks[2, 0] = 3
    for i, mask in enumerate(masks):
        Image.fromarray(mask).save(tmp_path / f'ann_dir/train/{i}.png')
        Image.new('RGB', (8, 8)).save(tmp_path / f'img_dir/train/{i}.png')
    return tmp_path


def test_command_and_sampler(crops, capsys):
    """The quickstart's config counts, and the sampler then draws rare crops, from any position on."""
    out = crops / 'counts.npz'
    command('tools/analysis/class_counts.py')(
        [str(ROOT / 'configs/quickstart/fixmatch_vit-t_upernet_synthetic-96x96.py'), str(out), '--cfg-options',
         f'train_dataloader.dataset.sources.labeled.data_root={crops}'])
    assert 'shares=[0.925, 0, 0, 0.075,' in capsys.readouterr().out
    counts = ClassCounts.load(out)
    assert counts.names == ['0.png', '1.png', '2.png']
    assert counts.pixels[:, [0, 3]].tolist() == [[64, 0], [60, 4], [24, 8]]

    folders = dict(img_path='img_dir/train', seg_map_path='ann_dir/train')
    source = dict(type='s5_mm.ISAIDDataset', data_root=str(crops), data_prefix=folders, pipeline=[], indices=[1, 2])
    dataset = MultiSourceDataset(dict(labeled=DATASETS.build(source)))

    def make(**options):
        return MultiSourceSampler(dataset, per_batch=dict(labeled=1), seed=3, rare_classes=dict(labeled=dict(
            counts=str(out), min_pixels=5, **options)))
    drawn = [draw.index for draw in itertools.islice(make(), 40)]
    assert set(drawn) == {1}  # class 3 is drawn all but always, and the second of these two shows enough of it
    assert {draw.index for draw in itertools.islice(make(temperature=10), 40)} == {0, 1}
    resumed = make(temperature=10)
    resumed.skip(13)
    assert next(iter(resumed)) == list(itertools.islice(make(temperature=10), 14))[-1]
    with pytest.raises(ValueError, match="cannot restrict 'labeled', which is drawn by class"):
        make().restrict('labeled', SourceSubset(np.array([0]), 0))
    ClassCounts(counts.names[:2], counts.pixels[:2]).save(out)
    with pytest.raises(ValueError, match=r'1 of 2 images have no class counts, e.g. 2.png; count them with'):
        make()


def test_files_that_hold_no_counts(tmp_path):
    with pytest.raises(FileNotFoundError, match='does not exist; write it with tools/analysis/class_counts.py'):
        ClassCounts.load(tmp_path / 'none.npz')
    path = tmp_path / 'counts.npz'
    path.write_bytes(b'nothing')
    with pytest.raises(ValueError, match='is no file of class counts'):
        ClassCounts.load(path)
    np.savez(path, names=np.array(['a']), pixels=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r'holds 1 names and counts of shape \(2, 3\)'):
        ClassCounts.load(path)
    np.savez(path, names=np.array([{}], dtype=object), pixels=np.zeros((1, 3), dtype=int))
    with pytest.raises(ValueError, match='is no file of class counts'):
        ClassCounts.load(path)

"""Preparation of the Dubai data set: colors, crops, splits, budgets, and what the config reads."""
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from running import ROOT

from data_prep import mbrsc
from s5_mm.datasets import MultiSourceDataset


@pytest.fixture
def download(tmp_path):
    """An image of 36 x 20 px in each tile; the left half of its mask is water, the right half unlabeled or black."""
    for tile in range(1, 8):
        folder = tmp_path / f'SRC/Tile {tile}'
        for kind in ('images', 'masks'):
            (folder / kind).mkdir(parents=True)
        colors = np.zeros((20, 36, 3), dtype=np.uint8)
        colors[:, :18] = mbrsc.COLORS[4]
        colors[:10, 18:] = (155, 155, 155)
        colors[0, 0] = mbrsc.COLORS[0]
        Image.fromarray(colors).save(folder / 'masks/image_part_001.png')
        Image.new('RGB', (36, 20), (10 * tile, 0, 0)).save(folder / 'images/image_part_001.jpg')
    return tmp_path / 'SRC'


def run(download, *options):
    out = download.parent / 'out'
    mbrsc.main([str(download), str(out), '--workers', '1', '--crop', '8', *options])
    return out


def test_crops_and_ids(download, capsys):
    out = run(download, '--reduce', '2')
    assert 'train: 6 images, 12 crops' in capsys.readouterr().out
    assert sorted(path.name for path in (out / 'ann_dir/val').iterdir()) == [
        'tile7_image_part_001_0_0.png', 'tile7_image_part_001_8_0.png']
    left, right = (np.asarray(Image.open(out / f'ann_dir/val/tile7_image_part_001_{x}_0.png')) for x in (0, 8))
    assert set(np.unique(left)) == {4}  # of each block of 2 x 2 px the lower right one
    assert right[:, 0].tolist() == [4] * 8
    assert (right[:, 1:] == 255).all()
    image = np.asarray(Image.open(out / 'img_dir/val/tile7_image_part_001_0_0.png'))
    assert image.shape == (8, 8, 3)
    assert image[0, 0, 0] == pytest.approx(70, abs=3)


def test_budgets_contain_each_other(download):
    out = run(download, '--reduce', '1')
    crops = {path.stem for path in (out / 'img_dir/train').iterdir()}
    assert len(crops) == 6 * 8
    for seed in mbrsc.SEEDS:
        labeled = {n: set((out / f'lists/labeled_1_of_{n}_seed_{seed}.txt').read_text().split()) for n in (16, 8, 4)}
        assert [len(names) for names in labeled.values()] == [3, 6, 12]
        assert labeled[16] < labeled[8] < labeled[4]
        rest = (out / f'lists/unlabeled_1_of_8_seed_{seed}.txt').read_text().split()
        assert {name.removesuffix('.png') for name in rest} == crops - labeled[8]
    lists = [(out / f'lists/labeled_1_of_8_seed_{seed}.txt').read_text() for seed in mbrsc.SEEDS]
    assert len(set(lists)) == 3


def test_the_config_reads_them(download):
    out = run(download, '--reduce', '1')
    cfg = Config.fromfile(ROOT / 'configs/real/unimatch-v2-aligned_vit-t_upernet_mbrsc-128x128.py')
    sources = cfg.train_dataloader.dataset.sources
    sources.labeled.data_root = str(out)
    sources.unlabeled.update(source=str(out / 'lists/unlabeled_1_of_8_seed_0.txt'),
                             data_root=str(out / 'img_dir/train'))
    dataset = MultiSourceDataset(sources)
    assert {name: len(source) for name, source in dataset.sources.items()} == dict(labeled=6, unlabeled=42)
    assert set(dataset[0]['data_samples'].gt_sem_seg.data.unique().tolist()) <= {0, 4, 255}


def test_errors(download):
    mask = download / 'Tile 3/masks/image_part_001.png'
    colors = np.asarray(Image.open(mask)).copy()
    colors[3, 2] = (1, 2, 3)
    Image.fromarray(colors).save(mask)
    with pytest.raises(SystemExit, match=r'unknown color \(1, 2, 3\).* at row 3, column 2'):
        run(download)
    mask.unlink()
    with pytest.raises(SystemExit, match='1 of 7 images have no mask in masks/, e.g. .*Tile 3'):
        run(download)
    with pytest.raises(SystemExit, match='found no image "Tile 1/images/image_part_001.jpg"'):
        mbrsc.main([str(download / 'Tile 1'), str(download.parent / 'none'), '--workers', '1'])
    with pytest.raises(SystemExit, match='--reduce is 0 and --crop 8; both must be at least 1'):
        run(download, '--reduce', '0')

"""The curation command as users type it, with a tiny model on generated images."""
import base64
import functools
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from running import forget_instances, free_port

from data_prep import curate
from s5_mm.curation import load_prototypes, select, working
from s5_mm.curation.settings import CurationSettings
from s5_mm.datasets import UnlabeledDataset
from s5_mm.locks import locked
from s5_mm.registry import MODELS

ROOT = Path(__file__).parents[2]


def write_images(folder, number, seed):
    """Images of two kinds, flat and noisy, in two sizes and two folders below."""
    generator = np.random.default_rng(seed)
    for i in range(number):
        noise = generator.normal(0, 60 if i % 2 else 2, (32, 32 + 16 * (i % 3 == 0), 3))
        pixels = (generator.uniform(40, 200, 3) + noise).clip(0, 255).astype(np.uint8)
        path = folder / 'xy'[i % 2] / f'{i:02d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


@pytest.fixture(scope='module')
def archive(tmp_path_factory):
    """A pool of 24 images, 12 labeled ones, and the weights of a model."""
    root = tmp_path_factory.mktemp('archive')
    write_images(root / 'pool', 24, seed=0)
    write_images(root / 'labeled', 12, seed=1)
    return root


@pytest.fixture
def setting(archive, tiny_segmentor, tmp_path):
    """Writes a config and its checkpoint, gives both paths."""
    def write(name='scorer', classes=3, seed=0, **curation):
        model = tiny_segmentor(data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[120.0, 110, 100], std=[60.0, 60, 60], bgr_to_rgb=True))
        model['decode_head']['num_classes'] = classes
        torch.manual_seed(seed)
        torch.save(dict(state_dict=MODELS.build(model).state_dict()), tmp_path / f'{name}.pth')
        numbers = dict(pool=dict(source=str(archive / 'pool')), labeled=dict(source=str(archive / 'labeled')),
                       work_dir=str(tmp_path / 'work'), background=0, batch_size=3, workers=0, chunk_size=4,
                       num_clusters=2, budget=8)
        Config(dict(default_scope='mmseg', model=model, curation=numbers | curation)).dump(tmp_path / f'{name}.py')
        return str(tmp_path / f'{name}.py'), str(tmp_path / f'{name}.pth')
    return write


def scores_in(work_dir):
    return pa.concat_tables([pq.read_table(path) for path in sorted((work_dir / 'pool/scores').glob('*.parquet'))])


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_from_images_to_a_manifest_that_training_reads(setting, archive, tmp_path, capsys):
    forget_instances()  # an earlier test's logger would write to that test's output
    config, checkpoint = setting()
    curate.main(['prototypes', config, checkpoint])
    prototypes = load_prototypes(tmp_path / 'work/prototypes.npz')
    assert prototypes.counts.sum() == 12
    curate.main(['score', config, checkpoint])
    scores = scores_in(tmp_path / 'work')
    assert scores['path'].to_pylist() == sorted(f'{"xy"[i % 2]}/{i:02d}.png' for i in range(24))
    assert len(list((tmp_path / 'work/pool/scores').iterdir())) == 6
    curate.main(['select', config])
    rows = pq.read_table(tmp_path / 'work/curated.parquet')
    expected = select(scores, 8, prototypes.counts)
    assert rows['path'].to_pylist() == expected.table['path'].to_pylist()
    said = capsys.readouterr().out
    assert f'{expected.taken.sum()} of 8 images selected' in said
    assert 'K-Means: 2 clusters of 12 images' in said
    assert 'counting the scores of 24 images' in said
    pool = UnlabeledDataset(source=str(tmp_path / 'work/curated.txt'), data_root=str(archive / 'pool'))
    assert pool.paths.to_pylist() == rows['path'].to_pylist()
    card = json.loads((tmp_path / 'work/curated.json').read_text())
    assert card['selected'] == len(pool)
    assert [group['quota'] for group in card['groups']] == expected.quotas.tolist()
    assert [group['labeled'] for group in card['groups']] == prototypes.counts.tolist()
    clusters, entropy = rows['cluster'].to_numpy(), rows['entropy'].to_numpy()
    for group in card['groups']:
        assert group['highest_entropy'] == pytest.approx(entropy[clusters == group['cluster']].max())
    assert card['model'].startswith('scorer-')
    assert card['mean_entropy']['selected'] == pytest.approx(entropy.mean(), rel=1e-5)


def test_repeating_every_step_changes_nothing(setting, tmp_path, monkeypatch):
    config, checkpoint = setting()
    commands = (['prototypes', config, checkpoint], ['score', config, checkpoint], ['select', config])
    for command in commands:
        curate.main(command)
    before = content(tmp_path / 'work')
    monkeypatch.setattr('s5_mm.curation.scoring.score_images', None)
    for command in commands:
        curate.main(command)
    assert content(tmp_path / 'work') == before
    assert {'prototypes.npz', 'curated.parquet', 'curated.txt', 'curated.json'} == set(before)


def test_the_report_shows_itself_without_other_files(setting, tmp_path):
    config, checkpoint = setting()
    curate.main(['prototypes', config, checkpoint])
    curate.main(['score', config, checkpoint])
    curate.main(['select', config, '--strategy', 'diversity', '--name', 'a<b'])
    curate.main(['report', config, '--name', 'a<b'])
    page = (tmp_path / 'work/a<b.html').read_text()
    assert '<h1>Curation: a&lt;b</h1>' in page
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)">', page)
    # Histograms, quotas, sources, and a contact sheet for each of two clusters.
    assert len(pictures) == page.count('<img') == 5
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture))).verify()
    assert '<td>images in the pool</td><td>24</td>' in page
    assert 'http' not in page


def test_contact_sheets_frame_what_is_selected(setting, tmp_path):
    config, checkpoint = setting(num_clusters=1, budget=9)
    curate.main(['prototypes', config, checkpoint])
    curate.main(['score', config, checkpoint])
    curate.main(['select', config])
    curate.main(['report', config])
    pictures = re.findall(r'base64,([^"]+)"', (tmp_path / 'work/curated.html').read_text())
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[-1]))))
    selected, other = [31, 119, 180], [154, 165, 177]
    # Three rows of 8 tiles of 136 px with 16 px of text above and below: lowest, last selected, highest.
    frames = sheet[[20, 188, 356]][:, range(1, 1088, 136)].tolist()
    assert frames == [[selected] * 8, [selected] * 8, [other] * 8]


def test_a_pool_from_the_command_line_keeps_the_rest_of_the_configs(setting, archive, tmp_path):
    listed = tmp_path / 'listed.txt'
    listed.write_text('x/00.png\nx/02.png\ny/01.png\n')
    config, checkpoint = setting(pool=dict(source=str(archive / 'pool'), indices=2))
    command = ['score', config, checkpoint, '--no-prototypes', '--work-dir']
    curate.main([*command, str(tmp_path / 'own'), '--source', str(archive / 'pool')])
    assert scores_in(tmp_path / 'own')['path'].to_pylist() == ['x/00.png', 'x/02.png']
    curate.main([*command, str(tmp_path / 'other'), '--source', str(listed), '--data-root', str(archive / 'pool')])
    assert scores_in(tmp_path / 'other')['path'].to_pylist() == ['x/00.png', 'x/02.png', 'y/01.png']
    config, checkpoint = setting('rooted', pool=dict(source=str(listed), data_root='nowhere'))
    with pytest.raises(SystemExit, match="none of the first 3 images .*`data_root`, which is 'nowhere'"):
        curate.main(['score', config, checkpoint, '--no-prototypes'])
    curate.main(['score', config, checkpoint, '--no-prototypes', '--data-root', str(archive / 'pool')])
    assert len(scores_in(tmp_path / 'work')) == 3


def test_settings_with_another_pool():
    pool = dict(source='a', data_root='r', indices=5, pipeline=['step'])
    settings = CurationSettings(pool=pool, labeled=dict(source='b'))
    assert settings.with_pool().pool == settings.with_pool('a').pool == pool
    assert settings.with_pool('c').pool == dict(source='c', data_root='r', pipeline=['step'])
    assert settings.with_pool(data_root='q').pool == pool | dict(data_root='q')


def test_killed_at_any_moment_it_ends_with_the_same_table(setting, archive, tmp_path):
    pool = tmp_path / 'killed'
    write_images(pool, 24, seed=0)
    stuck = pool / 'x/16.png'
    whole = stuck.read_bytes()
    stuck.unlink()
    os.mkfifo(stuck)  # reading it waits for ever
    config, checkpoint = setting(pool=dict(source=str(pool)))
    command = [sys.executable, '-W', 'ignore', str(ROOT / 'data_prep/curate.py'), 'score', config, checkpoint,
               '--no-prototypes']
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True) as process:
        deadline = time.time() + 200
        while len(list((tmp_path / 'work').glob('pool/scores/*.parquet'))) < 2 and time.time() < deadline:
            time.sleep(0.05)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
    assert len(scores_in(tmp_path / 'work')) == 8
    stuck.unlink()
    stuck.write_bytes(whole)
    (tmp_path / 'work/pool/scores/00000003.parquet.1-012345.part').write_bytes(b'half a shard')
    (tmp_path / 'work/pool/duckdb-abc/tmp').mkdir(parents=True)
    curate.main(command[4:])
    reference, _ = setting('other', pool=dict(source=str(archive / 'pool')), work_dir=str(tmp_path / 'straight'))
    curate.main(['score', reference, checkpoint, '--no-prototypes'])
    resumed, straight = (scores_in(tmp_path / name).drop(['model']) for name in ('work', 'straight'))
    assert resumed.equals(straight)
    assert len(set(resumed['path'].to_pylist())) == 24
    left = [path for pattern in ('*.part', 'duckdb-*', '.lock') for path in (tmp_path / 'work').rglob(pattern)]
    assert not left


def test_a_second_step_in_a_work_dir_is_refused(setting, tmp_path, monkeypatch):
    config, checkpoint = setting()
    monkeypatch.setattr(working, 'locked', functools.partial(locked, patience=-1))
    with locked(tmp_path / 'work'):
        for step in (['prototypes', config, checkpoint], ['score', config, checkpoint, '--no-prototypes']):
            with pytest.raises(SystemExit, match=rf'error: process {os.getpid()} on .* works in {tmp_path}/work; wait'):
                curate.main(step)


def test_two_processes_give_the_table_of_one(setting, tmp_path):
    config, checkpoint = setting()
    curate.main(['prototypes', config, checkpoint])
    curate.main(['score', config, checkpoint])
    alone = scores_in(tmp_path / 'work')
    (tmp_path / 'work/pool').rename(tmp_path / 'alone')
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run', '--nproc_per_node', '2', '--master_port',
         str(free_port()), str(ROOT / 'data_prep/curate.py'), 'score', config, checkpoint, '--launcher', 'pytorch'],
        env=dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''), cwd=tmp_path, capture_output=True,
        text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert 'process 1 of 2: 100%' in run.stderr
    assert run.stdout.count('24 images scored, 0 errors') == 1
    assert scores_in(tmp_path / 'work').equals(alone)


def test_an_unreadable_image_is_listed_and_counted(setting, archive, tmp_path):
    pool = tmp_path / 'pool'
    write_images(pool, 24, seed=0)
    (pool / 'x/04.png').write_bytes(b'no image')
    config, checkpoint = setting(pool=dict(source=str(pool)), max_errors=0.0)
    with pytest.raises(SystemExit, match=r'curate score: error: 1 of 24 images could not be scored.*x/04\.png'):
        curate.main(['score', config, checkpoint, '--no-prototypes'])
    curate.main(['score', config, checkpoint, '--no-prototypes', '--max-errors', '0.05'])
    [errors] = (pq.read_table(path).to_pylist() for path in (tmp_path / 'work/pool/errors').iterdir())
    assert errors[0]['path'] == 'x/04.png'
    assert 'it is no image of a known format, or damaged' in errors[0]['reason']
    assert len(scores_in(tmp_path / 'work')) == 23
    curate.main(['select', config, '--strategy', 'entropy', '--budget', '23'])
    assert json.loads((tmp_path / 'work/entropy.json').read_text())['pool']['errors'] == 1
    with pytest.raises(SystemExit, match=r'budget is 24; it must be 1\.\.23'):
        curate.main(['select', config, '--strategy', 'entropy', '--budget', '24'])


def test_near_duplicates_are_left_out_and_their_places_passed_on(setting, tmp_path):
    pool = tmp_path / 'pool'
    write_images(pool, 10, seed=0)
    for name in ('x/00.png', 'y/01.png'):
        for copy in range(3):
            (pool / f'{name[:-4]}_{copy}.png').write_bytes((pool / name).read_bytes())
    config, checkpoint = setting(pool=dict(source=str(pool)), keep_features=True, num_clusters=1, budget=10)
    curate.main(['prototypes', config, checkpoint])
    curate.main(['score', config, checkpoint])
    curate.main(['select', config, '--near-duplicates', '0.999999'])
    # Which of the copies is taken, the last bit of their entropy decides.
    selected = re.sub(r'_\d', '', (tmp_path / 'work/curated.txt').read_text()).split()
    assert sorted(selected) == sorted(f'{"xy"[i % 2]}/{i:02d}.png' for i in range(10))
    card = json.loads((tmp_path / 'work/curated.json').read_text())
    assert (card['near_duplicates_left_out'], card['groups'][0]['taken']) == (6, 10)
    assert 'feature' not in pq.read_schema(tmp_path / 'work/curated.parquet').names
    curate.main(['select', config, '--near-duplicates', '0.999999', '--strategy', 'random', '--name', 'r'])
    assert len((tmp_path / 'work/r.txt').read_text().split()) == 10


def test_a_number_of_clusters_is_proposed(setting, tmp_path):
    config, checkpoint = setting()
    curate.main(['prototypes', config, checkpoint, '--num-clusters', 'auto'])
    assert len(load_prototypes(tmp_path / 'work/prototypes.npz').counts) in (4, 8)


def test_errors_before_any_work(setting, archive, tmp_path):
    config, checkpoint = setting()
    other, other_checkpoint = setting('other', classes=4, work_dir=str(tmp_path / 'work'), seed=1)
    with pytest.raises(SystemExit, match=r'prototypes .*prototypes\.npz are not there; make them'):
        curate.main(['score', config, checkpoint])
    torch.save(dict(state_dict={'a.weight': torch.zeros(3)}), tmp_path / 'foreign.pth')
    with pytest.raises(SystemExit, match=r"foreign\.pth holds no encoder in a known .* begin with \['a\.weight'\]"):
        curate.main(['score', config, str(tmp_path / 'foreign.pth'), '--no-prototypes'])
    with pytest.raises(SystemExit, match=r'work/pool holds no scores; make them with `curate\.py score`'):
        curate.main(['select', config, '--strategy', 'entropy'])
    curate.main(['prototypes', config, checkpoint])
    with pytest.raises(SystemExit, match='was made with the model scorer-.*, this is other-'):
        curate.main(['score', other, other_checkpoint])
    curate.main(['score', config, checkpoint])
    with pytest.raises(SystemExit, match="--name is 'sub/x'; it is the name of files in .*work, without folders"):
        curate.main(['select', config, '--name', 'sub/x'])
    with pytest.raises(SystemExit, match='near_duplicates needs the features of the pool'):
        curate.main(['select', config, '--near-duplicates', '0.9'])
    with pytest.raises(SystemExit, match='was made with other settings .*background: 0 there, None now'):
        curate.main(['score', config, checkpoint, '--cfg-options', 'curation.background=None'])
    curate.main(['prototypes', config, checkpoint, '--num-clusters', '1'])
    with pytest.raises(SystemExit, match=r'pool was not scored with .*prototypes\.npz, so its clusters are others; '
                                         r'repeat `curate\.py prototypes` .*, or delete .*work/pool and score again'):
        curate.main(['select', config])
    curate.main(['prototypes', config, checkpoint])
    (tmp_path / 'work/pool/scores/00000002.parquet').unlink()
    with pytest.raises(SystemExit, match='holds 20 of the 24 images of the pool; repeat `curate.py score`'):
        curate.main(['select', config])
    with pytest.raises(SystemExit, match='curated.json is not there'):
        curate.main(['report', config])


@pytest.mark.parametrize(('options', 'message'), [
    ('curation.budgets=3', r"curation\.budgets of .* is unknown; choose from \['amp', 'background'"),
    ('curation.strategy=best', r"curation\.strategy is 'best'; choose from \['curated'"),
    ('curation.batch_size=0', r'curation\.batch_size is 0; it must be an integer of at least 1'),
    ('curation.max_errors=2', r'curation\.max_errors is 2; it is a share'),
    ('curation.num_clusters=0', r"curation\.num_clusters is 0; it must be at least 1, or 'auto'"),
    ('curation.near_duplicates=1.5', r'curation\.near_duplicates is 1\.5; it is a cosine'),
    ('curation.pool=here', r"curation\.pool is 'here'; it needs `source`")])
def test_errors_of_settings(setting, options, message):
    config, _ = setting()
    with pytest.raises(SystemExit, match=message):
        curate.main(['select', config, '--cfg-options', options])


@pytest.mark.parametrize('config', sorted((ROOT / 'configs/curation').glob('*.py')), ids=lambda path: path.stem)
def test_our_configs_are_complete(config):
    cfg = Config.fromfile(config)
    settings = CurationSettings.from_config(cfg)
    assert MODELS.build(dict(cfg.model, backbone=dict(cfg.model.backbone, arch='tiny'), decode_head=dict(
        cfg.model.decode_head, in_channels=[96] * 4))).out_channels > settings.background

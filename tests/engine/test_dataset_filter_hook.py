"""The pool filtered while training: what is drawn, what a checkpoint carries, what is refused."""
import os
import re
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import torch
from drawn_images import what_was_drawn
from mmengine.config import Config
from running import FIXMATCH, ROOT, SUPERVISED, free_port, losses, write_config

from s5_mm.engine import DatasetFilterHook
from s5_mm.registry import HOOKS

SCORING = dict(background=0, batch_size=4, workers=0)
SEEDS = dict(type='s5_mm.IterationSeedHook')


def hooks(teacher=True, **options):
    return {'custom_hooks': [SEEDS, *[dict(type='s5_mm.MeanTeacherHook')] * teacher, dict(
        type='s5_mm.DrawnImagesHook'), dict(
        type='s5_mm.DatasetFilterHook', **dict(budget=3, num_clusters=2, interval=2, scoring=SCORING) | options)]}


def selected(work_dir, step):
    return pq.read_table(work_dir / 'curation' / f'iter_{step}.parquet')['path'].to_pylist()


def log_of(work_dir):
    return ''.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


class TestTraining:

    def test_each_batch_is_drawn_from_the_selection_of_its_time(self, train):
        """With workers that had later batches of the older selection ready."""
        work_dir = train(FIXMATCH, iters=6, workers=2, **hooks(
            on_shortfall='redistribute', strategy='diversity', share=0.9))
        selections = [selected(work_dir, step) for step in (0, 2, 4)]
        assert [len(selection) for selection in selections] == [3, 3, 3]
        assert len({tuple(selection) for selection in selections}) > 1
        for step, files in enumerate(what_was_drawn(work_dir)[0]):
            assert all(file.endswith(tuple(selections[step // 2])) for file in files)
        assert not list((work_dir / 'curation').glob('iter_6*'))

    def test_log_says_which_class_does_not_count(self, train):
        told = 'DatasetFilterHook: the entropy '
        text = log_of(train(FIXMATCH, iters=3, **hooks()))
        assert text.count(told) == text.count(f'{told}leaves out class 0 (background)') == 1
        text = log_of(train(FIXMATCH, work_dir='all', iters=1, **hooks(scoring=dict(workers=0))))
        assert f'{told}counts all classes' in text

    def test_log_and_manifest(self, train):
        """One of the eight images is truncated."""
        work_dir = train(FIXMATCH, iters=1, **hooks(strategy='entropy'))
        table = pq.read_table(work_dir / 'curation/iter_0.parquet')
        assert table.column_names == ['path', 'entropy', 'cluster', 'similarity']
        mean = sum(table['entropy'].to_pylist()) / 3
        told = re.search(r'Pool unlabeled: 3 of 8 images kept, 3 of them new; mean entropy ([\d.]+), of all scored '
                         r'([\d.]+); 1 unreadable', log_of(work_dir))
        assert float(told[1]) == pytest.approx(mean, abs=1e-4)
        assert float(told[1]) < float(told[2])

    def test_resume_goes_on_with_the_selection(self, train):
        options = hooks(interval=4) | {'default_hooks.checkpoint.interval': 2, 'param_scheduler.1.end': 6}
        straight = train(FIXMATCH, work_dir='straight', iters=6, workers=2, **options)
        train(FIXMATCH, work_dir='stopped', iters=6, workers=2, **options, **{'train_cfg.max_iters': 2})
        stopped = train(FIXMATCH, '--resume', work_dir='stopped', iters=6, workers=2, **options)
        assert losses(stopped) == losses(straight)
        assert selected(stopped, 4) == selected(straight, 4)
        assert 'images, selected at iteration 0, as the checkpoint says' in log_of(stopped)

    def test_checkpoint_holds_the_selection(self, train):
        work_dir = train(FIXMATCH, iters=3, **hooks(budget=0.5))
        held = torch.load(work_dir / 'iter_3.pth', weights_only=False)['dataset_filter']
        assert held['first_step'] == 2
        assert len(held['indices']) == len(selected(work_dir, 2)) <= 4

    def test_resuming_with_another_pool_is_an_error(self, train, data, tmp_path):
        train(FIXMATCH, work_dir='run', iters=1, **hooks())
        listed = tmp_path / 'other.txt'
        listed.write_text('\n'.join(map(str, sorted((data / 'unlabeled').rglob('*.jpg'))[2:])))
        other = {'train_dataloader.dataset.sources.unlabeled.source': str(listed)}
        with pytest.raises(ValueError, match='from another pool than .*other.txt with its 6 images; resume'):
            train(FIXMATCH, '--resume', work_dir='run', iters=2, **hooks(), **other)


def test_two_processes_draw_from_one_selection(data, tmp_path):
    options = hooks(on_shortfall='redistribute', share=0.9) | {'custom_imports.imports': ['s5_mm', 'drawn_images']}
    config = write_config(tmp_path / 'two.py', FIXMATCH, data, 4, 0, options)
    run = subprocess.run(
        ['bash', str(ROOT / 'tools/dist_train.sh'), str(config), '2', '--work-dir', str(tmp_path / 'two')],
        env=dict(os.environ, PYTHON=sys.executable, PYTHONPATH=str(ROOT / 'tests'), PORT=str(free_port()),
                 OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''),
        capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    (first, selection), (second, other) = (what_was_drawn(tmp_path / 'two', rank) for rank in range(2))
    assert len(selection) == 3
    assert selection == other
    for step in (0, 2):
        drawn = [file.split('unlabeled/')[-1] for rank in (first, second) for files in rank[step:step + 2]
                 for file in files]
        assert len(drawn) == 8
        assert set(drawn) == set(selected(tmp_path / 'two', step))


def test_the_documented_config(tmp_path):
    page = (ROOT / 'docs/curation.md').read_text()
    text = re.search(r'## During training.+?```python\n(.+?)```', page, re.S).group(1)
    config = tmp_path / 'own.py'
    config.write_text(text.replace('./fixmatch', f'{ROOT}/configs/s4p/fixmatch'))
    hook = HOOKS.build(Config.fromfile(config).custom_hooks[-1])
    assert isinstance(hook, DatasetFilterHook)
    assert (hook.filter.budget, hook.interval, hook.filter.scoring.background) == (500_000, 20_000, 0)


class TestRefused:

    def test_no_unlabeled_source(self, train):
        with pytest.raises(ValueError, match=r"there is no source 'unlabeled', training has \['labeled'\]"):
            train(SUPERVISED, iters=1, **hooks(teacher=False))

    def test_a_labeled_source_as_the_pool(self, train):
        with pytest.raises(ValueError, match="source 'labeled' is a ISAIDDataset, only an UnlabeledDataset"):
            train(SUPERVISED, iters=1, **hooks(teacher=False, source='labeled'))

    def test_budget_above_the_pool(self, train):
        with pytest.raises(ValueError, match='budget is 9, 8 of the 8 images .* are scored .* keep 1 to 8'):
            train(FIXMATCH, iters=1, **hooks(budget=9))

    def test_budget_above_the_scored_share(self, train):
        with pytest.raises(ValueError, match=r'budget is 5, 4 of the 8 images .* \(share 0.5\); keep 1 to 4'):
            train(FIXMATCH, iters=1, **hooks(budget=5, share=0.5))

    def test_more_clusters_than_labeled_images(self, train):
        with pytest.raises(ValueError, match='num_clusters is 99, there are 7 labeled images; make it 1 to 7'):
            train(FIXMATCH, iters=1, **hooks(num_clusters=99))

    def test_labeled_images_that_cannot_be_read_alone(self, train, data):
        labeled = dict(Config.fromfile(ROOT / FIXMATCH).train_dataloader.dataset.sources.labeled,
                       data_root=str(data / 'isaid'))
        twice = dict(_delete_=True, type='RepeatDataset', times=2, dataset=labeled)
        with pytest.raises(ValueError, match="source 'labeled' is a RepeatDataset without a pipeline of its own"):
            train(FIXMATCH, iters=1, **hooks(), **{'train_dataloader.dataset.sources.labeled': twice})

    @pytest.mark.parametrize(('options', 'message'), [
        (dict(budget=0), r'budget is 0; it is a number of images \(an integer\) or a share above 0 and below 1'),
        (dict(budget=1.0), r'budget is 1.0; .* below 1\. To keep all images, leave the filter out'),
        (dict(budget=-2), 'budget is -2; it is a number of images'),
        (dict(budget=float('nan')), 'budget is nan; it is a number of images'),
        (dict(budget=1, interval=0), 'interval is 0; it must be at least 1, or None'),
        (dict(budget=1, share=1.5), 'share is 1.5; it must be above 0 and up to 1'),
        (dict(budget=1, strategy='best'), r"strategy is 'best'; choose from \['curated'"),
        (dict(budget=1, on_shortfall='fill'), r"on_shortfall is 'fill'; choose from \['skip'"),
        (dict(budget=1, scoring=dict(batch=3)), r"scoring.batch is unknown; choose from \['background'"),
    ])
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            DatasetFilterHook(**options)
